-- Whether a mailed household redeems a coupon: campaigns that run, own redemptions, offers on products it buys, shopping.
WITH received AS (
    SELECT s.seed, s.cutoff, c.campaign, c.campaign_type, c.time, c.end_date
    FROM seeds s
    JOIN mailings m ON m.household = s.entity AND m.time < s.cutoff
    JOIN campaigns c ON c.campaign = m.campaign AND c.time < s.cutoff
),
campaign AS (
    SELECT seed,
           COUNT(*) AS mailings,
           COUNT(*) FILTER (WHERE end_date > cutoff) AS running,
           COUNT(*) FILTER (WHERE end_date > cutoff AND campaign_type = 'Type A') AS running_a,
           COUNT(*) FILTER (WHERE end_date > cutoff AND campaign_type = 'Type B') AS running_b,
           COUNT(*) FILTER (WHERE end_date > cutoff AND campaign_type = 'Type C') AS running_c,
           DATE_DIFF('day', MAX(time) FILTER (WHERE end_date > cutoff), ANY_VALUE(cutoff)) AS days_since_mailed,
           DATE_DIFF('day', ANY_VALUE(cutoff), MAX(end_date)) AS days_left,
           SUM(LEAST(DATE_DIFF('day', cutoff, end_date), 28)) FILTER (WHERE end_date > cutoff) AS days_running
    FROM received
    GROUP BY seed
),
redeemed AS (
    SELECT s.seed, COUNT(*) AS redeemed, COUNT(DISTINCT r.campaign) AS campaigns_redeemed,
           COUNT(*) FILTER (WHERE r.time >= s.cutoff - INTERVAL '28 days') AS redeemed_28d,
           COUNT(*) FILTER (WHERE r.time >= s.cutoff - INTERVAL '84 days') AS redeemed_84d,
           DATE_DIFF('day', MAX(r.time), ANY_VALUE(s.cutoff)) AS days_since_redeemed
    FROM seeds s
    JOIN redemptions r ON r.household = s.entity AND r.time < s.cutoff
    GROUP BY s.seed
),
bought AS (
    SELECT s.seed, l.product, COUNT(*) AS times, SUM(l.sales_value) AS paid
    FROM seeds s
    JOIN baskets b ON b.household = s.entity AND b.time < s.cutoff
    JOIN lines l ON l.basket = b.basket AND l.time < s.cutoff
    WHERE l.product IS NOT NULL
    GROUP BY s.seed, l.product
),
offered AS (
    SELECT v.seed, COUNT(DISTINCT o.coupon) AS coupons_fitting, COUNT(DISTINCT o.product) AS products_offered,
           SUM(b.times) AS times_offered, SUM(b.paid) AS paid_offered
    FROM received v
    JOIN bought b ON b.seed = v.seed
    JOIN offers o ON o.campaign = v.campaign AND o.product = b.product AND o.time < v.cutoff
    WHERE v.end_date > v.cutoff
    GROUP BY v.seed
),
shopping AS (
    SELECT s.seed,
           COUNT(DISTINCT b.basket) FILTER (WHERE b.time >= s.cutoff - INTERVAL '28 days') AS visits_28d,
           COUNT(DISTINCT b.basket) AS visits_84d,
           EPOCH(ANY_VALUE(s.cutoff) - MAX(b.time)) / 86400 AS days_since,
           SUM(l.sales_value) FILTER (WHERE b.time >= s.cutoff - INTERVAL '28 days') AS spent_28d,
           SUM(l.sales_value) AS spent_84d,
           COUNT(*) FILTER (WHERE l.coupon_disc > 0) AS coupon_lines_84d,
           SUM(l.coupon_disc + l.coupon_match_disc) AS coupons_84d,
           AVG(CAST(l.retail_disc > 0 AS INT)) AS discounted_84d,
           COUNT(DISTINCT l.product) AS products_84d
    FROM seeds s
    JOIN baskets b ON b.household = s.entity AND b.time < s.cutoff AND b.time >= s.cutoff - INTERVAL '84 days'
    JOIN lines l ON l.basket = b.basket AND l.time < s.cutoff
    GROUP BY s.seed
)
SELECT s.seed, c.* EXCLUDE (seed), r.* EXCLUDE (seed), o.* EXCLUDE (seed), h.* EXCLUDE (seed),
       r.campaigns_redeemed / NULLIF(c.mailings, 0) AS redeemed_share
FROM seeds s
LEFT JOIN campaign c ON c.seed = s.seed
LEFT JOIN redeemed r ON r.seed = s.seed
LEFT JOIN offered o ON o.seed = s.seed
LEFT JOIN shopping h ON h.seed = s.seed
