-- Whether the customer stays away: visits and purchases in windows, their rhythm, returns, staff met, and the home store.
WITH visited AS (
    SELECT s.seed, s.cutoff, v.time, v.store_id, v.channel, v.minutes, x.transaction_id, x.amount, x.payment,
           EPOCH(v.time - LAG(v.time) OVER (PARTITION BY s.seed ORDER BY v.time)) / 86400 AS wait
    FROM seeds s
    JOIN visits v ON v.customer_id = s.entity AND v.time < s.cutoff
    LEFT JOIN transactions x ON x.visit_id = v.visit_id AND x.time < s.cutoff
),
rhythm AS (
    SELECT seed,
           COUNT(*) AS visits,
           COUNT(*) FILTER (WHERE time >= cutoff - INTERVAL '30 days') AS visits_30d,
           COUNT(*) FILTER (WHERE time >= cutoff - INTERVAL '90 days') AS visits_90d,
           COUNT(*) FILTER (WHERE time >= cutoff - INTERVAL '180 days') AS visits_180d,
           COUNT(transaction_id) FILTER (WHERE time >= cutoff - INTERVAL '30 days') AS bought_30d,
           COUNT(transaction_id) FILTER (WHERE time >= cutoff - INTERVAL '90 days') AS bought_90d,
           COUNT(transaction_id) FILTER (WHERE time >= cutoff - INTERVAL '365 days') AS bought_1y,
           SUM(amount) FILTER (WHERE time >= cutoff - INTERVAL '90 days') AS spent_90d,
           SUM(amount) FILTER (WHERE time >= cutoff - INTERVAL '365 days') AS spent_1y,
           AVG(amount) AS basket,
           EPOCH(ANY_VALUE(cutoff) - MAX(time)) / 86400 AS days_since,
           EPOCH(ANY_VALUE(cutoff) - MAX(time) FILTER (WHERE transaction_id IS NOT NULL)) / 86400 AS days_since_bought,
           DATE_DIFF('day', MIN(time), ANY_VALUE(cutoff)) AS days_known,
           AVG(wait) AS days_between,
           STDDEV(wait) AS wait_spread,
           COUNT(DISTINCT DATE_TRUNC('month', time)) AS months,
           AVG(CAST(channel = 'web' AS INT)) AS web_share,
           AVG(CAST(payment = 'card' AS INT)) AS card_share,
           AVG(minutes) AS minutes
    FROM visited
    GROUP BY seed
),
basket AS (
    SELECT s.seed, COUNT(DISTINCT l.product_id) AS products_1y, COUNT(DISTINCT p.category_id) AS categories_1y,
           AVG(l.price / NULLIF(p.list_price, 0)) AS price_level_1y,
           AVG(l.price / NULLIF(p.list_price, 0)) FILTER (WHERE l.time >= s.cutoff - INTERVAL '90 days') AS price_level_90d,
           AVG(CAST(p.own_label AS INT)) AS own_label_share,
           COUNT(r.return_id) AS returns_1y,
           COUNT(r.return_id) FILTER (WHERE r.time >= s.cutoff - INTERVAL '90 days') AS returns_90d
    FROM seeds s
    JOIN transactions x ON x.customer_id = s.entity AND x.time < s.cutoff AND x.time >= s.cutoff - INTERVAL '365 days'
    JOIN lines l ON l.transaction_id = x.transaction_id AND l.time < s.cutoff
    JOIN products p ON p.product_id = l.product_id
    LEFT JOIN returns r ON r.line_id = l.line_id AND r.time < s.cutoff
    GROUP BY s.seed
),
staff AS (
    -- who was on shift when the customer came
    SELECT v.seed, AVG(e.courtesy) AS courtesy_90d
    FROM visited v
    JOIN shifts h ON h.store_id = v.store_id AND h.starts <= v.time AND h.ends > v.time AND h.starts < v.cutoff
    JOIN employees e ON e.employee_id = h.employee_id AND e.hired < v.cutoff
    WHERE v.time >= v.cutoff - INTERVAL '90 days'
    GROUP BY v.seed
),
store AS (
    SELECT c.cutoff, u.store_id, COUNT(*) FILTER (WHERE v.time >= c.cutoff - INTERVAL '30 days') / COUNT(*) AS store_recent_90d
    FROM (SELECT DISTINCT cutoff FROM seeds) c
    JOIN visits v ON v.time < c.cutoff AND v.time >= c.cutoff - INTERVAL '90 days'
    JOIN customers u ON u.customer_id = v.customer_id AND u.joined < c.cutoff
    GROUP BY c.cutoff, u.store_id
)
SELECT s.seed, r.* EXCLUDE (seed), b.* EXCLUDE (seed), f.* EXCLUDE (seed), h.store_recent_90d,
       r.days_since / NULLIF(r.days_between, 0) AS overdue, DATE_DIFF('day', c.joined, s.cutoff) AS days_joined,
       YEAR(s.cutoff) - c.born AS age, c.newsletter
FROM seeds s
JOIN customers c ON c.customer_id = s.entity
LEFT JOIN rhythm r ON r.seed = s.seed
LEFT JOIN basket b ON b.seed = s.seed
LEFT JOIN staff f ON f.seed = s.seed
LEFT JOIN store h ON h.cutoff = s.cutoff AND h.store_id = c.store_id
