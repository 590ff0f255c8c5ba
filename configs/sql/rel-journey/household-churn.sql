-- Whether the household stays away: recency and rhythm of visits, spending, breadth of the baskets, coupons, mailings.
WITH visits AS (
    SELECT s.seed, s.cutoff, b.store, b.time,
           EPOCH(b.time - LAG(b.time) OVER (PARTITION BY s.seed ORDER BY b.time)) / 86400 AS wait
    FROM seeds s
    JOIN baskets b ON b.household = s.entity AND b.time < s.cutoff
),
rhythm AS (
    SELECT seed,
           COUNT(*) FILTER (WHERE time >= cutoff - INTERVAL '7 days') AS visits_7d,
           COUNT(*) FILTER (WHERE time >= cutoff - INTERVAL '14 days') AS visits_14d,
           COUNT(*) FILTER (WHERE time >= cutoff - INTERVAL '28 days') AS visits_28d,
           COUNT(*) FILTER (WHERE time >= cutoff - INTERVAL '56 days') AS visits_56d,
           COUNT(*) FILTER (WHERE time >= cutoff - INTERVAL '84 days') AS visits_84d,
           COUNT(DISTINCT DATE_TRUNC('week', time)) FILTER (WHERE time >= cutoff - INTERVAL '84 days') AS weeks_84d,
           EPOCH(ANY_VALUE(cutoff) - MAX(time)) / 86400 AS days_since,
           DATE_DIFF('day', MIN(time), ANY_VALUE(cutoff)) AS days_known,
           AVG(wait) AS days_between,
           AVG(wait) FILTER (WHERE time >= cutoff - INTERVAL '28 days') AS days_between_28d,
           STDDEV(wait) AS wait_spread,
           QUANTILE_CONT(wait, 0.9) AS long_wait,
           MAX(wait) FILTER (WHERE time >= cutoff - INTERVAL '84 days') AS longest_wait_84d,
           COUNT(DISTINCT store) FILTER (WHERE time >= cutoff - INTERVAL '84 days') AS stores_84d,
           AVG(CAST(ISODOW(time) >= 6 AS INT)) AS weekend_share
    FROM visits
    GROUP BY seed
),
bought AS (
    SELECT s.seed,
           SUM(l.sales_value) FILTER (WHERE l.time >= s.cutoff - INTERVAL '14 days') AS spent_14d,
           SUM(l.sales_value) FILTER (WHERE l.time >= s.cutoff - INTERVAL '28 days') AS spent_28d,
           SUM(l.sales_value) AS spent_84d,
           COUNT(*) AS lines_84d,
           COUNT(DISTINCT l.product) AS products_84d,
           COUNT(DISTINCT p.department) AS departments_84d,
           COUNT(*) FILTER (WHERE l.coupon_disc > 0) AS coupon_lines_84d,
           AVG(CAST(l.retail_disc > 0 AS INT)) AS discounted_84d,
           AVG(CAST(p.brand = 'Private' AS INT)) AS private_84d,
           AVG(CAST(p.department IN ('PRODUCE', 'MEAT', 'MEAT-PCKGD', 'DELI', 'SEAFOOD') AS INT)) AS fresh_84d
    FROM seeds s
    JOIN baskets b ON b.household = s.entity AND b.time < s.cutoff AND b.time >= s.cutoff - INTERVAL '84 days'
    JOIN lines l ON l.basket = b.basket AND l.time < s.cutoff
    LEFT JOIN products p ON p.product = l.product
    GROUP BY s.seed
),
mailed AS (
    SELECT s.seed, COUNT(*) AS mailings, COUNT(*) FILTER (WHERE c.end_date > s.cutoff) AS running
    FROM seeds s
    JOIN mailings m ON m.household = s.entity AND m.time < s.cutoff
    JOIN campaigns c ON c.campaign = m.campaign AND c.time < s.cutoff
    GROUP BY s.seed
)
SELECT s.seed, r.* EXCLUDE (seed), b.* EXCLUDE (seed), m.mailings, m.running,
       r.days_since / NULLIF(r.days_between, 0) AS overdue,
       r.days_since / NULLIF(r.long_wait, 0) AS overdue_long,
       r.visits_28d / NULLIF(r.visits_84d, 0) AS recent_share,
       b.spent_84d / NULLIF(r.visits_84d, 0) AS per_visit
FROM seeds s
LEFT JOIN rhythm r ON r.seed = s.seed
LEFT JOIN bought b ON b.seed = s.seed
LEFT JOIN mailed m ON m.seed = s.seed
