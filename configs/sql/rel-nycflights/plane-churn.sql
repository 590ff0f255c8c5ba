-- Whether the plane stays away: number and regularity of recent departures, usual airports, and registry data.
WITH left_ AS (
    SELECT s.seed, s.cutoff, d.time, d.airport,
           d.time - LAG(d.time) OVER (PARTITION BY s.seed ORDER BY d.time) AS wait
    FROM seeds s
    JOIN departures d ON d.plane = s.entity AND d.time < s.cutoff
),
own AS (
    SELECT seed,
           COUNT(*) AS departures,
           COUNT(*) FILTER (WHERE time >= cutoff - INTERVAL '3 days') AS departures_3d,
           COUNT(*) FILTER (WHERE time >= cutoff - INTERVAL '7 days') AS departures_7d,
           COUNT(*) FILTER (WHERE time >= cutoff - INTERVAL '14 days') AS departures_14d,
           COUNT(*) FILTER (WHERE time >= cutoff - INTERVAL '28 days') AS departures_28d,
           COUNT(*) FILTER (WHERE time >= cutoff - INTERVAL '90 days') AS departures_90d,
           DATE_DIFF('hour', MAX(time), ANY_VALUE(cutoff)) AS hours_since,
           DATE_DIFF('day', MIN(time), ANY_VALUE(cutoff)) AS days_known,
           AVG(EPOCH(wait)) / 3600 AS hours_between,
           MAX(EPOCH(wait)) / 3600 AS longest_wait,
           COUNT(DISTINCT CAST(time AS DATE)) FILTER (WHERE time >= cutoff - INTERVAL '28 days') AS days_used_28d,
           COUNT(DISTINCT airport) AS origins
    FROM left_
    GROUP BY seed
),
used AS (
    SELECT s.seed, AVG(f.distance) AS distance, COUNT(DISTINCT f.destination) AS destinations,
           ARG_MAX(f.carrier, f.time) AS carrier
    FROM seeds s
    JOIN flights f ON f.plane = s.entity AND f.time < s.cutoff AND f.time >= s.cutoff - INTERVAL '90 days'
    GROUP BY s.seed
)
SELECT s.seed, o.* EXCLUDE (seed), u.distance, u.destinations, l.name AS carrier,
       o.hours_since / NULLIF(o.hours_between, 0) AS overdue,
       p.year AS built, p.seats, p.manufacturer, p.model
FROM seeds s
JOIN planes p ON p.plane = s.entity
LEFT JOIN own o ON o.seed = s.seed
LEFT JOIN used u ON u.seed = s.seed
LEFT JOIN airlines l ON l.carrier = u.carrier
