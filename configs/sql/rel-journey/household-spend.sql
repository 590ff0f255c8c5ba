-- What the household spends in four weeks: its last four-week periods, visits and baskets, discounts, and what it buys.
WITH visits AS (
    SELECT s.seed, s.cutoff, b.time, SUM(l.sales_value) AS paid, COUNT(*) AS lines,
           SUM(l.sales_value) FILTER (WHERE p.department = 'FUEL') AS fuel
    FROM seeds s
    JOIN baskets b ON b.household = s.entity AND b.time < s.cutoff
    JOIN lines l ON l.basket = b.basket AND l.time < s.cutoff
    LEFT JOIN products p ON p.product = l.product
    GROUP BY s.seed, s.cutoff, b.basket, b.time
),
own AS (
    SELECT seed,
           COALESCE(SUM(paid) FILTER (WHERE time >= cutoff - INTERVAL '7 days'), 0) AS spent_7d,
           COALESCE(SUM(paid) FILTER (WHERE time >= cutoff - INTERVAL '14 days'), 0) AS spent_14d,
           COALESCE(SUM(paid) FILTER (WHERE time >= cutoff - INTERVAL '28 days'), 0) AS spent_28d,
           SUM(paid) FILTER (
               WHERE time >= cutoff - INTERVAL '56 days' AND time < cutoff - INTERVAL '28 days') AS spent_before,
           SUM(paid) FILTER (
               WHERE time >= cutoff - INTERVAL '84 days' AND time < cutoff - INTERVAL '56 days') AS spent_two_before,
           SUM(paid) AS spent,
           SUM(paid) / GREATEST(DATE_DIFF('day', MIN(time), ANY_VALUE(cutoff)), 28) * 28 AS per_four_weeks,
           SUM(fuel) FILTER (WHERE time >= cutoff - INTERVAL '28 days') AS fuel_28d,
           COUNT(*) FILTER (WHERE time >= cutoff - INTERVAL '14 days') AS visits_14d,
           COUNT(*) FILTER (WHERE time >= cutoff - INTERVAL '28 days') AS visits_28d,
           COUNT(*) FILTER (WHERE time >= cutoff - INTERVAL '84 days') AS visits_84d,
           COUNT(DISTINCT DATE_TRUNC('week', time)) FILTER (WHERE time >= cutoff - INTERVAL '84 days') AS weeks_84d,
           AVG(paid) FILTER (WHERE time >= cutoff - INTERVAL '84 days') AS basket_84d,
           MEDIAN(paid) FILTER (WHERE time >= cutoff - INTERVAL '84 days') AS median_basket_84d,
           MAX(paid) FILTER (WHERE time >= cutoff - INTERVAL '84 days') AS largest_84d,
           AVG(lines) FILTER (WHERE time >= cutoff - INTERVAL '84 days') AS lines_84d,
           EPOCH(ANY_VALUE(cutoff) - MAX(time)) / 86400 AS days_since,
           EPOCH(ANY_VALUE(cutoff) - MAX(time) FILTER (WHERE paid >= 50)) / 86400 AS days_since_large,
           DATE_DIFF('day', MIN(time), ANY_VALUE(cutoff)) AS days_known
    FROM visits
    GROUP BY seed
),
bought AS (
    SELECT s.seed,
           COUNT(DISTINCT l.product) AS products_56d,
           COUNT(DISTINCT p.product_category) AS categories_56d,
           SUM(l.retail_disc) AS discount_56d,
           SUM(l.coupon_disc) AS coupons_56d,
           AVG(l.sales_value) AS line_56d,
           AVG(CAST(p.brand = 'Private' AS INT)) AS private_56d,
           SUM(l.sales_value) FILTER (WHERE p.department IN ('PRODUCE', 'MEAT', 'MEAT-PCKGD', 'DELI', 'SEAFOOD')) AS fresh_56d,
           SUM(l.sales_value) FILTER (WHERE p.department = 'GROCERY') AS grocery_56d,
           SUM(l.sales_value) FILTER (WHERE p.department = 'DRUG GM') AS drugs_56d
    FROM seeds s
    JOIN baskets b ON b.household = s.entity AND b.time < s.cutoff AND b.time >= s.cutoff - INTERVAL '56 days'
    JOIN lines l ON l.basket = b.basket AND l.time < s.cutoff
    LEFT JOIN products p ON p.product = l.product
    GROUP BY s.seed
),
mailed AS (
    SELECT s.seed, COUNT(*) FILTER (WHERE c.end_date > s.cutoff) AS running
    FROM seeds s
    JOIN mailings m ON m.household = s.entity AND m.time < s.cutoff
    JOIN campaigns c ON c.campaign = m.campaign AND c.time < s.cutoff
    GROUP BY s.seed
)
SELECT s.seed, o.* EXCLUDE (seed), b.* EXCLUDE (seed), m.running, o.spent_28d / NULLIF(o.spent_before, 0) AS trend
FROM seeds s
LEFT JOIN own o ON o.seed = s.seed
LEFT JOIN bought b ON b.seed = s.seed
LEFT JOIN mailed m ON m.seed = s.seed
