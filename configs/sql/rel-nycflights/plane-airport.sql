-- The airports at which the plane lands next week: those of its last 90 days, and its carrier's busiest ones.
WITH own AS (
    SELECT s.seed, a.airport AS item,
           COUNT(*) AS mine_90d,
           COUNT(*) FILTER (WHERE a.time >= s.cutoff - INTERVAL '28 days') AS mine_28d,
           COUNT(*) FILTER (WHERE a.time >= s.cutoff - INTERVAL '7 days') AS mine_7d,
           DATE_DIFF('hour', MAX(a.time), ANY_VALUE(s.cutoff)) AS hours_since
    FROM seeds s
    JOIN arrivals a ON a.plane = s.entity AND a.time < s.cutoff AND a.time >= s.cutoff - INTERVAL '90 days'
    GROUP BY s.seed, a.airport
),
plane AS (
    SELECT s.seed, ARG_MAX(f.carrier, f.time) AS carrier, COUNT(*) AS flights_28d
    FROM seeds s
    JOIN flights f ON f.plane = s.entity AND f.time < s.cutoff AND f.time >= s.cutoff - INTERVAL '28 days'
    GROUP BY s.seed
),
carriers AS (
    SELECT c.cutoff, f.carrier, f.destination AS item, COUNT(*) AS carrier_28d,
           COUNT(*) FILTER (WHERE f.time >= c.cutoff - INTERVAL '7 days') AS carrier_7d,
           ROW_NUMBER() OVER (PARTITION BY c.cutoff, f.carrier ORDER BY COUNT(*) DESC, f.destination) AS place
    FROM (SELECT DISTINCT cutoff FROM seeds) c
    JOIN flights f ON f.time < c.cutoff AND f.time >= c.cutoff - INTERVAL '28 days'
    GROUP BY c.cutoff, f.carrier, f.destination
),
popular AS (
    SELECT c.cutoff, f.destination AS item, COUNT(*) AS all_28d,
           ROW_NUMBER() OVER (PARTITION BY c.cutoff ORDER BY COUNT(*) DESC, f.destination) AS place
    FROM (SELECT DISTINCT cutoff FROM seeds) c
    JOIN flights f ON f.time < c.cutoff AND f.time >= c.cutoff - INTERVAL '28 days'
    GROUP BY c.cutoff, f.destination
),
candidates AS (
    SELECT seed, item FROM own
    UNION
    SELECT p.seed, c.item FROM plane p JOIN seeds s ON s.seed = p.seed
    JOIN carriers c ON c.cutoff = s.cutoff AND c.carrier = p.carrier AND c.place <= 30
    UNION
    SELECT s.seed, q.item FROM seeds s JOIN popular q ON q.cutoff = s.cutoff AND q.place <= 20
)
SELECT k.seed, k.item, o.* EXCLUDE (seed, item), c.carrier_28d, c.carrier_7d, c.place AS carrier_place, q.all_28d,
       p.flights_28d, a.latitude, a.longitude
FROM candidates k
JOIN seeds s ON s.seed = k.seed
JOIN airports a ON a.airport = k.item
LEFT JOIN own o ON o.seed = k.seed AND o.item = k.item
LEFT JOIN plane p ON p.seed = k.seed
LEFT JOIN carriers c ON c.cutoff = s.cutoff AND c.carrier = p.carrier AND c.item = k.item
LEFT JOIN popular q ON q.cutoff = s.cutoff AND q.item = k.item
