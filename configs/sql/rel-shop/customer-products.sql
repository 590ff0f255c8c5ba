-- The products that the customer buys next: own purchases, favourite categories and brands, popularity, and running sales.
WITH bought AS (
    SELECT s.seed, s.cutoff, l.product_id AS item, l.transaction_id, l.time, l.quantity, p.category_id, p.brand_id, p.list_price
    FROM seeds s
    JOIN transactions x ON x.customer_id = s.entity AND x.time < s.cutoff
    JOIN lines l ON l.transaction_id = x.transaction_id AND l.time < s.cutoff
    JOIN products p ON p.product_id = l.product_id
),
own AS (
    SELECT seed, item, COUNT(DISTINCT transaction_id) AS times, SUM(quantity) AS quantity,
           COUNT(*) FILTER (WHERE time >= cutoff - INTERVAL '90 days') AS times_90d,
           EPOCH(ANY_VALUE(cutoff) - MAX(time)) / 86400 AS days_since,
           RANK() OVER (PARTITION BY seed ORDER BY MAX(time) DESC) AS own_recency
    FROM bought
    GROUP BY seed, item
),
customer AS (
    SELECT seed, COUNT(*) AS lines, COUNT(DISTINCT transaction_id) AS purchases, COUNT(DISTINCT item) AS products,
           AVG(list_price) AS mean_price
    FROM bought
    GROUP BY seed
),
categories_ AS (
    SELECT seed, category_id, COUNT(*) AS category_lines,
           COUNT(*) FILTER (WHERE time >= cutoff - INTERVAL '90 days') AS category_lines_90d
    FROM bought
    GROUP BY seed, category_id
),
brands_ AS (
    SELECT seed, brand_id, COUNT(*) AS brand_lines FROM bought GROUP BY seed, brand_id
),
popular AS (
    SELECT c.cutoff, l.product_id AS item, COUNT(*) AS sold_90d,
           COUNT(*) FILTER (WHERE l.time >= c.cutoff - INTERVAL '30 days') AS sold_30d
    FROM (SELECT DISTINCT cutoff FROM seeds) c
    JOIN lines l ON l.time < c.cutoff AND l.time >= c.cutoff - INTERVAL '90 days'
    GROUP BY c.cutoff, l.product_id
),
sale AS (
    SELECT c.cutoff, m.product_id AS item, MIN(m.price) AS sale_price
    FROM (SELECT DISTINCT cutoff FROM seeds) c
    JOIN promotions m ON m.announced < c.cutoff AND m.kind = 'sale'
     AND m.starts <= c.cutoff + INTERVAL '30 days' AND m.ends > c.cutoff
    GROUP BY c.cutoff, m.product_id
),
candidates AS (
    SELECT s.seed, s.cutoff, p.*, q.sold_90d, q.sold_30d,
           RANK() OVER (PARTITION BY s.seed ORDER BY COALESCE(g.category_lines, 0) DESC, q.sold_90d DESC) AS fitting,
           RANK() OVER (PARTITION BY s.seed ORDER BY q.sold_90d DESC) AS place
    FROM seeds s
    JOIN popular q ON q.cutoff = s.cutoff
    JOIN products p ON p.product_id = q.item
    LEFT JOIN categories_ g ON g.seed = s.seed AND g.category_id = p.category_id
),
chosen AS (
    SELECT k.*, o.* EXCLUDE (seed, item)
    FROM candidates k
    LEFT JOIN own o ON o.seed = k.seed AND o.item = k.product_id
    WHERE k.fitting <= 100 OR k.place <= 50 OR o.item IS NOT NULL
)
SELECT k.seed, k.product_id AS item, k.* EXCLUDE (seed, cutoff, product_id, launched, category_id, brand_id, category_name),
       g.category_lines / NULLIF(u.lines, 0) AS category_share, g.category_lines, g.category_lines_90d,
       b.brand_lines, u.lines, u.purchases, u.products, k.list_price / NULLIF(u.mean_price, 0) AS price_ratio,
       f.sale_price / NULLIF(k.list_price, 0) AS sale_level, DATE_DIFF('day', k.launched, k.cutoff) AS days_launched
FROM chosen k
LEFT JOIN customer u ON u.seed = k.seed
LEFT JOIN categories_ g ON g.seed = k.seed AND g.category_id = k.category_id
LEFT JOIN brands_ b ON b.seed = k.seed AND b.brand_id = k.brand_id
LEFT JOIN sale f ON f.cutoff = k.cutoff AND f.item = k.product_id
