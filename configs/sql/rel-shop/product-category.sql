-- The category of a new product: its own row, how it differs from its brand's earlier products, and how those sold and came back.
WITH product AS (
    SELECT s.seed, s.cutoff, p.brand_id, p.colour, p.material, p.list_price, p.facings, p.own_label, b.country
    FROM seeds s
    JOIN products p ON p.product_id = s.entity
    JOIN brands b ON b.brand_id = p.brand_id
),
brand AS (
    SELECT a.seed, COUNT(*) AS earlier, AVG(e.list_price) AS brand_price, STDDEV(e.list_price) AS brand_spread,
           AVG(e.facings) AS brand_facings, AVG(CAST(e.own_label AS INT)) AS brand_own_label,
           AVG(CAST(e.material = a.material AS INT)) AS same_material,
           AVG(CAST(e.colour = a.colour AS INT)) AS same_colour,
           AVG(CAST(e.material = 'cotton' AS INT)) AS brand_cotton,
           AVG(CAST(e.material = 'wood' AS INT)) AS brand_wood,
           AVG(CAST(e.material = 'steel' AS INT)) AS brand_steel,
           AVG(CAST(e.material = 'glass' AS INT)) AS brand_glass,
           AVG(CAST(e.material = 'plastic' AS INT)) AS brand_plastic,
           AVG(e.list_price) FILTER (WHERE e.material = a.material) AS brand_price_material
    FROM product a
    JOIN products e ON e.brand_id = a.brand_id AND e.launched < a.cutoff
    GROUP BY a.seed
),
alike AS (
    SELECT a.seed, COUNT(*) AS alike, AVG(CAST(e.list_price < a.list_price AS INT)) AS cheaper_share
    FROM product a
    JOIN products e ON e.material = a.material AND e.launched < a.cutoff
    GROUP BY a.seed
),
sold AS (
    SELECT a.seed, COUNT(*) AS brand_lines, AVG(l.quantity) AS brand_quantity, AVG(l.price / NULLIF(e.list_price, 0)) AS brand_level
    FROM product a
    JOIN products e ON e.brand_id = a.brand_id AND e.launched < a.cutoff
    JOIN lines l ON l.product_id = e.product_id AND l.time < a.cutoff
    GROUP BY a.seed
),
returned AS (
    SELECT a.seed, COUNT(*) AS brand_returns, AVG(CAST(r.reason = 'size' AS INT)) AS size_share,
           AVG(CAST(r.reason = 'stains' AS INT)) AS stains_share, AVG(EPOCH(r.time - l.time)) / 86400 AS days_kept
    FROM product a
    JOIN products e ON e.brand_id = a.brand_id AND e.launched < a.cutoff
    JOIN lines l ON l.product_id = e.product_id AND l.time < a.cutoff
    JOIN returns r ON r.line_id = l.line_id AND r.time < a.cutoff
    GROUP BY a.seed
)
SELECT a.* EXCLUDE (cutoff, brand_id), b.* EXCLUDE (seed), k.* EXCLUDE (seed), d.* EXCLUDE (seed), r.* EXCLUDE (seed),
       a.list_price / NULLIF(b.brand_price, 0) AS price_ratio, r.brand_returns / NULLIF(d.brand_lines, 0) AS return_rate
FROM product a
LEFT JOIN brand b ON b.seed = a.seed
LEFT JOIN alike k ON k.seed = a.seed
LEFT JOIN sold d ON d.seed = a.seed
LEFT JOIN returned r ON r.seed = a.seed
