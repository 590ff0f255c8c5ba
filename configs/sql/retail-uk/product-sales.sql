-- Sales of the product: revenue in windows, a year ago in the same month, price and trend.
WITH sold AS (
    SELECT s.seed, s.cutoff, l.date, l.quantity, l.price, l.invoice, l.quantity * l.price AS revenue
    FROM seeds s
    JOIN lines l ON l.product = s.entity AND l.date < s.cutoff
),
own AS (
    SELECT seed,
           COALESCE(SUM(revenue) FILTER (WHERE date >= cutoff - INTERVAL '7 days'), 0) AS revenue_7d,
           COALESCE(SUM(revenue) FILTER (WHERE date >= cutoff - INTERVAL '30 days'), 0) AS revenue_30d,
           COALESCE(SUM(revenue) FILTER (WHERE date >= cutoff - INTERVAL '60 days'), 0) AS revenue_60d,
           COALESCE(SUM(revenue) FILTER (WHERE date >= cutoff - INTERVAL '90 days'), 0) AS revenue_90d,
           SUM(revenue) FILTER (
               WHERE date >= cutoff - INTERVAL '365 days' AND date < cutoff - INTERVAL '335 days') AS revenue_year_ago,
           SUM(revenue) FILTER (
               WHERE date >= cutoff - INTERVAL '395 days' AND date < cutoff - INTERVAL '365 days') AS revenue_before_year_ago,
           SUM(quantity) FILTER (WHERE date >= cutoff - INTERVAL '30 days') AS quantity_30d,
           COUNT(*) FILTER (WHERE date >= cutoff - INTERVAL '30 days') AS lines_30d,
           COUNT(DISTINCT invoice) FILTER (WHERE date >= cutoff - INTERVAL '90 days') AS invoices_90d,
           COUNT(DISTINCT CAST(date AS DATE)) FILTER (WHERE date >= cutoff - INTERVAL '30 days') AS days_sold_30d,
           MAX(revenue) FILTER (WHERE date >= cutoff - INTERVAL '90 days') AS largest_90d,
           AVG(price) AS price,
           ARG_MAX(price, date) AS price_last,
           SUM(revenue) AS revenue_ever,
           DATE_DIFF('day', MIN(date), ANY_VALUE(cutoff)) AS days_known,
           DATE_DIFF('day', MAX(date), ANY_VALUE(cutoff)) AS days_since
    FROM sold
    GROUP BY seed
),
returned AS (
    SELECT s.seed, SUM(r.quantity) AS returned_90d
    FROM seeds s
    JOIN returns r ON r.product = s.entity AND r.date < s.cutoff AND r.date >= s.cutoff - INTERVAL '90 days'
    GROUP BY s.seed
)
SELECT s.seed, o.* EXCLUDE (seed), o.revenue_30d / NULLIF(o.revenue_90d, 0) AS recent_share,
       o.revenue_ever / GREATEST(o.days_known, 1) AS revenue_per_day, r.returned_90d, MONTH(s.time) AS month
FROM seeds s
LEFT JOIN own o ON o.seed = s.seed
LEFT JOIN returned r ON r.seed = s.seed
