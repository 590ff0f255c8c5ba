-- The circuits at which the driver races next year. Every circuit is a candidate, since the calendar repeats itself.
WITH held AS (
    SELECT c.cutoff, g.circuitId,
           COUNT(*) FILTER (WHERE g.date >= c.cutoff - INTERVAL '365 days') AS held_1y,
           COUNT(*) FILTER (WHERE g.date >= c.cutoff - INTERVAL '730 days') AS held_2y,
           COUNT(*) FILTER (WHERE g.date >= c.cutoff - INTERVAL '1825 days') AS held_5y,
           COUNT(*) AS held_ever,
           DATE_DIFF('day', MAX(g.date), c.cutoff) AS days_since_held,
           DATE_DIFF('day', MIN(g.date), c.cutoff) AS days_since_first
    FROM (SELECT DISTINCT cutoff FROM seeds) c
    JOIN races g ON g.date < c.cutoff
    GROUP BY c.cutoff, g.circuitId
),
starts AS (
    SELECT s.seed, g.circuitId,
           COUNT(*) FILTER (WHERE r.date >= s.cutoff - INTERVAL '365 days') AS starts_1y,
           COUNT(*) FILTER (WHERE r.date >= s.cutoff - INTERVAL '1095 days') AS starts_3y,
           COUNT(*) AS starts_ever
    FROM seeds s
    JOIN results r ON r.driverId = s.entity AND r.date < s.cutoff
    JOIN races g ON g.raceId = r.raceId AND g.date < s.cutoff
    GROUP BY s.seed, g.circuitId
),
driver AS (
    SELECT seed, SUM(starts_1y) AS races_1y, SUM(starts_ever) AS races_ever FROM starts GROUP BY seed
)
SELECT s.seed, k.circuitId AS item, h.* EXCLUDE (cutoff, circuitId), t.* EXCLUDE (seed, circuitId),
       t.starts_1y / NULLIF(d.races_1y, 0) AS share_1y, d.races_1y, d.races_ever, k.lat, k.lng
FROM seeds s
CROSS JOIN circuits k
LEFT JOIN held h ON h.cutoff = s.cutoff AND h.circuitId = k.circuitId
LEFT JOIN starts t ON t.seed = s.seed AND t.circuitId = k.circuitId
LEFT JOIN driver d ON d.seed = s.seed
