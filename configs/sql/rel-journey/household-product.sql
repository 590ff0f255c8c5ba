-- The products that the household buys next: its own most regular ones, their rhythm and type, and the most popular ones.
WITH bought AS (
    SELECT b.household, l.product AS item, b.time, SUM(l.sales_value) AS paid, CAST(MAX(l.retail_disc) > 0 AS INT) AS discounted
    FROM baskets b
    JOIN lines l ON l.basket = b.basket
    WHERE l.product IS NOT NULL AND l.time < (SELECT MAX(cutoff) FROM seeds)
    GROUP BY b.household, l.product, b.basket, b.time
),
history AS (
    SELECT s.seed, g.item,
           COUNT(*) AS times,
           COUNT(*) FILTER (WHERE g.time >= s.cutoff - INTERVAL '14 days') AS times_14d,
           COUNT(*) FILTER (WHERE g.time >= s.cutoff - INTERVAL '56 days') AS times_56d,
           EPOCH(ANY_VALUE(s.cutoff) - MAX(g.time)) / 86400 AS days_since,
           EPOCH(MAX(g.time) - MIN(g.time)) / 86400 / NULLIF(COUNT(*) - 1, 0) AS days_between,
           AVG(g.paid) AS paid,
           AVG(g.discounted) AS discounted
    FROM seeds s
    JOIN bought g ON g.household = s.entity AND g.time < s.cutoff AND g.time >= s.cutoff - INTERVAL '168 days'
    GROUP BY s.seed, g.item
),
own AS (
    SELECT *, RANK() OVER (PARTITION BY seed ORDER BY times DESC, days_since) AS place FROM history
),
types AS (
    SELECT h.seed, p.product_type, SUM(h.times_56d) AS type_times_56d
    FROM history h
    JOIN products p ON p.product = h.item
    GROUP BY h.seed, p.product_type
),
household AS (
    SELECT s.seed, COUNT(*) AS visits, COUNT(*) FILTER (WHERE b.time >= s.cutoff - INTERVAL '14 days') AS visits_14d,
           COUNT(*) FILTER (WHERE b.time >= s.cutoff - INTERVAL '56 days') AS visits_56d,
           EPOCH(ANY_VALUE(s.cutoff) - MAX(b.time)) / 86400 AS days_since_visit
    FROM seeds s
    JOIN baskets b ON b.household = s.entity AND b.time < s.cutoff AND b.time >= s.cutoff - INTERVAL '168 days'
    GROUP BY s.seed
),
popular AS (
    SELECT c.cutoff, g.item, COUNT(*) AS baskets_28d, COUNT(DISTINCT g.household) AS households_28d,
           COUNT(*) FILTER (WHERE g.time >= c.cutoff - INTERVAL '7 days') AS baskets_7d,
           AVG(g.discounted) AS discounted_28d,
           RANK() OVER (PARTITION BY c.cutoff ORDER BY COUNT(DISTINCT g.household) DESC) AS place
    FROM (SELECT DISTINCT cutoff FROM seeds) c
    JOIN bought g ON g.time < c.cutoff AND g.time >= c.cutoff - INTERVAL '28 days'
    GROUP BY c.cutoff, g.item
),
candidates AS (
    SELECT seed, item FROM own WHERE place <= 40
    UNION
    SELECT s.seed, q.item FROM seeds s JOIN popular q ON q.cutoff = s.cutoff AND q.place <= 20
)
SELECT k.seed, k.item, o.* EXCLUDE (seed, item), t.type_times_56d, h.* EXCLUDE (seed), q.* EXCLUDE (cutoff, item, place),
       o.times / h.visits AS share, o.times_56d / NULLIF(h.visits_56d, 0) AS share_56d,
       o.days_since / NULLIF(o.days_between, 0) AS overdue, q.baskets_28d / q.households_28d AS repeated_28d,
       p.department, p.brand
FROM candidates k
JOIN seeds s ON s.seed = k.seed
JOIN products p ON p.product = k.item
LEFT JOIN own o ON o.seed = k.seed AND o.item = k.item
LEFT JOIN types t ON t.seed = k.seed AND t.product_type = p.product_type
LEFT JOIN household h ON h.seed = k.seed
LEFT JOIN popular q ON q.cutoff = s.cutoff AND q.item = k.item
