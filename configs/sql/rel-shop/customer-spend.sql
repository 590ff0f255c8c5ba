-- What the customer spends in 30 days: amounts and purchases in windows, purchases in active months, baskets, and returns.
WITH paid AS (
    SELECT s.seed, s.cutoff, x.time, x.amount, x.payment,
           EPOCH(x.time - LAG(x.time) OVER (PARTITION BY s.seed ORDER BY x.time)) / 86400 AS wait
    FROM seeds s
    JOIN transactions x ON x.customer_id = s.entity AND x.time < s.cutoff
),
money AS (
    SELECT seed,
           COALESCE(SUM(amount) FILTER (WHERE time >= cutoff - INTERVAL '30 days'), 0) AS spent_30d,
           SUM(amount) FILTER (
               WHERE time >= cutoff - INTERVAL '60 days' AND time < cutoff - INTERVAL '30 days') AS spent_before,
           COALESCE(SUM(amount) FILTER (WHERE time >= cutoff - INTERVAL '90 days'), 0) AS spent_90d,
           COALESCE(SUM(amount) FILTER (WHERE time >= cutoff - INTERVAL '180 days'), 0) AS spent_180d,
           COALESCE(SUM(amount) FILTER (WHERE time >= cutoff - INTERVAL '365 days'), 0) AS spent_1y,
           COUNT(*) FILTER (WHERE time >= cutoff - INTERVAL '30 days') AS bought_30d,
           COUNT(*) FILTER (WHERE time >= cutoff - INTERVAL '90 days') AS bought_90d,
           COUNT(*) FILTER (WHERE time >= cutoff - INTERVAL '365 days') AS bought_1y,
           COUNT(*) AS bought,
           AVG(amount) AS basket, MEDIAN(amount) AS median_basket, MAX(amount) AS largest,
           EPOCH(ANY_VALUE(cutoff) - MAX(time)) / 86400 AS days_since_bought,
           DATE_DIFF('day', MIN(time), ANY_VALUE(cutoff)) AS days_known,
           AVG(wait) AS days_between, MEDIAN(wait) AS median_wait, STDDEV(wait) AS wait_spread,
           AVG(CAST(payment = 'card' AS INT)) AS card_share
    FROM paid
    GROUP BY seed
),
periods AS (
    SELECT seed, CAST(FLOOR(EPOCH(cutoff - time) / (30 * 86400)) AS INT) AS back, SUM(amount) AS spent, COUNT(*) AS bought
    FROM paid
    GROUP BY seed, back
),
past AS (
    SELECT seed, COUNT(*) FILTER (WHERE back < 3) AS active_3, COUNT(*) FILTER (WHERE back < 6) AS active_6,
           COUNT(*) FILTER (WHERE back < 12) AS active_12, COUNT(*) / (MAX(back) + 1) AS active_share,
           SUM(spent) FILTER (WHERE back < 6) / 6 AS spent_per_period_6, AVG(spent) AS spent_per_active_period,
           AVG(bought) AS bought_per_active_period, MAX(bought) AS most_bought
    FROM periods
    GROUP BY seed
),
visited AS (
    SELECT s.seed, COUNT(*) FILTER (WHERE v.time >= s.cutoff - INTERVAL '30 days') AS visits_30d,
           COUNT(*) FILTER (WHERE v.time >= s.cutoff - INTERVAL '90 days') AS visits_90d,
           EPOCH(ANY_VALUE(s.cutoff) - MAX(v.time)) / 86400 AS days_since,
           AVG(CAST(v.channel = 'web' AS INT)) AS web_share
    FROM seeds s
    JOIN visits v ON v.customer_id = s.entity AND v.time < s.cutoff
    GROUP BY s.seed
),
basket AS (
    SELECT s.seed, AVG(l.quantity) AS quantity, AVG(l.price) AS price, AVG(l.price / NULLIF(p.list_price, 0)) AS price_level,
           COUNT(DISTINCT l.line_id) / COUNT(DISTINCT l.transaction_id) AS lines_per_purchase, COUNT(DISTINCT p.category_id) AS categories,
           COUNT(r.return_id) / COUNT(DISTINCT l.line_id) AS returned_share, SUM(r.refund) AS refunds
    FROM seeds s
    JOIN transactions x ON x.customer_id = s.entity AND x.time < s.cutoff AND x.time >= s.cutoff - INTERVAL '365 days'
    JOIN lines l ON l.transaction_id = x.transaction_id AND l.time < s.cutoff
    JOIN products p ON p.product_id = l.product_id
    LEFT JOIN returns r ON r.line_id = l.line_id AND r.time < s.cutoff
    GROUP BY s.seed
)
SELECT s.seed, m.* EXCLUDE (seed), t.* EXCLUDE (seed), v.* EXCLUDE (seed), b.* EXCLUDE (seed),
       m.spent_1y / LEAST(GREATEST(m.days_known, 30), 365) * 30 AS spent_per_30d,
       m.days_since_bought / NULLIF(m.days_between, 0) AS overdue,
       DATE_DIFF('day', c.joined, s.cutoff) AS days_joined, YEAR(s.cutoff) - c.born AS age, c.newsletter
FROM seeds s
JOIN customers c ON c.customer_id = s.entity
LEFT JOIN money m ON m.seed = s.seed
LEFT JOIN past t ON t.seed = s.seed
LEFT JOIN visited v ON v.seed = s.seed
LEFT JOIN basket b ON b.seed = s.seed
