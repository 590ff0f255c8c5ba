-- Whether the customer stays away: recency, frequency and amounts, intervals between visits, and returns.
WITH visits AS (
    SELECT s.seed, s.cutoff, i.invoice, i.date,
           EPOCH(i.date - LAG(i.date) OVER (PARTITION BY s.seed ORDER BY i.date)) / 86400 AS wait
    FROM seeds s
    JOIN invoices i ON i.customer = s.entity AND i.date < s.cutoff
),
rhythm AS (
    SELECT seed,
           COUNT(*) AS invoices,
           COUNT(*) FILTER (WHERE date >= cutoff - INTERVAL '30 days') AS invoices_30d,
           COUNT(*) FILTER (WHERE date >= cutoff - INTERVAL '90 days') AS invoices_90d,
           COUNT(*) FILTER (WHERE date >= cutoff - INTERVAL '180 days') AS invoices_180d,
           DATE_DIFF('day', MAX(date), ANY_VALUE(cutoff)) AS days_since,
           DATE_DIFF('day', MIN(date), ANY_VALUE(cutoff)) AS days_known,
           AVG(wait) AS days_between,
           STDDEV(wait) AS wait_spread,
           COUNT(DISTINCT DATE_TRUNC('month', date)) AS months
    FROM visits
    GROUP BY seed
),
money AS (
    SELECT v.seed,
           SUM(l.quantity * l.price) AS spent,
           SUM(l.quantity * l.price) FILTER (WHERE l.date >= v.cutoff - INTERVAL '90 days') AS spent_90d,
           SUM(l.quantity * l.price) FILTER (WHERE l.date >= v.cutoff - INTERVAL '180 days') AS spent_180d,
           COUNT(DISTINCT l.product) AS products,
           AVG(l.quantity) AS quantity
    FROM visits v
    JOIN lines l ON l.invoice = v.invoice AND l.date < v.cutoff
    GROUP BY v.seed
),
returned AS (
    SELECT s.seed, COUNT(*) AS returns
    FROM seeds s
    JOIN returns r ON r.customer = s.entity AND r.date < s.cutoff
    GROUP BY s.seed
)
SELECT s.seed, r.* EXCLUDE (seed), r.days_since / NULLIF(r.days_between, 0) AS overdue, m.* EXCLUDE (seed),
       m.spent / r.invoices AS basket, COALESCE(t.returns, 0) AS returns, MONTH(s.time) AS month,
       c.country
FROM seeds s
JOIN customers c ON c.customer = s.entity
LEFT JOIN rhythm r ON r.seed = s.seed
LEFT JOIN money m ON m.seed = s.seed
LEFT JOIN returned t ON t.seed = s.seed
