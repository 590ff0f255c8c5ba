-- Mean delay of the plane: its recent delays, those of its carrier and of all planes this week, and how it is used.
WITH landed AS (
    SELECT s.seed, s.cutoff, a.time, a.delay, a.air_time,
           ROW_NUMBER() OVER (PARTITION BY s.seed ORDER BY a.time DESC, a.delay) AS back
    FROM seeds s
    JOIN arrivals a ON a.plane = s.entity AND a.time < s.cutoff
    WHERE a.delay IS NOT NULL
),
own AS (
    SELECT seed,
           COUNT(*) AS landings,
           AVG(delay) AS delay_ever,
           AVG(delay) FILTER (WHERE back <= 5) AS delay_5,
           AVG(delay) FILTER (WHERE back <= 20) AS delay_20,
           MEDIAN(delay) FILTER (WHERE back <= 20) AS median_20,
           STDDEV(delay) FILTER (WHERE back <= 20) AS spread_20,
           AVG(delay) FILTER (WHERE time >= cutoff - INTERVAL '7 days') AS delay_7d,
           AVG(delay) FILTER (WHERE time >= cutoff - INTERVAL '28 days') AS delay_28d,
           COUNT(*) FILTER (WHERE time >= cutoff - INTERVAL '7 days') AS landings_7d,
           AVG(air_time) FILTER (WHERE back <= 20) AS air_time_20
    FROM landed
    GROUP BY seed
),
flown AS (
    SELECT s.seed, s.cutoff, f.carrier, f.distance, f.departure_clock, f.time,
           ROW_NUMBER() OVER (PARTITION BY s.seed ORDER BY f.time DESC, f.distance) AS back
    FROM seeds s
    JOIN flights f ON f.plane = s.entity AND f.time < s.cutoff
),
used AS (
    SELECT seed, AVG(distance) AS distance_20, AVG(departure_clock) AS clock_20,
           MAX(carrier) FILTER (WHERE back = 1) AS carrier
    FROM flown
    WHERE back <= 20
    GROUP BY seed
),
carriers AS (
    SELECT c.cutoff, f.carrier, AVG(a.delay) AS carrier_delay_7d
    FROM (SELECT DISTINCT cutoff FROM seeds) c
    JOIN arrivals a ON a.time < c.cutoff AND a.time >= c.cutoff - INTERVAL '7 days'
    JOIN flights f ON f.flight = a.flight AND f.time < c.cutoff
    GROUP BY c.cutoff, f.carrier
),
everybody AS (
    SELECT c.cutoff, AVG(a.delay) AS all_delay_7d
    FROM (SELECT DISTINCT cutoff FROM seeds) c
    JOIN arrivals a ON a.time < c.cutoff AND a.time >= c.cutoff - INTERVAL '7 days'
    GROUP BY c.cutoff
)
SELECT s.seed, o.* EXCLUDE (seed), u.distance_20, u.clock_20, l.name AS carrier, k.carrier_delay_7d, e.all_delay_7d,
       p.year AS built, p.seats, p.manufacturer, MONTH(s.time) AS month
FROM seeds s
JOIN planes p ON p.plane = s.entity
LEFT JOIN own o ON o.seed = s.seed
LEFT JOIN used u ON u.seed = s.seed
LEFT JOIN airlines l ON l.carrier = u.carrier
LEFT JOIN carriers k ON k.cutoff = s.cutoff AND k.carrier = u.carrier
LEFT JOIN everybody e ON e.cutoff = s.cutoff
