-- Whether the driver fails to finish: own record, the team's reliability, age, and number of recent races.
WITH past AS (
    SELECT s.seed, s.cutoff, r.date, r.constructorId, r.grid, r.laps, r.positionOrder, r.points,
           CAST(r.statusId <> 1 AS INT) AS failed,
           ROW_NUMBER() OVER (PARTITION BY s.seed ORDER BY r.date DESC, r.grid, r.laps) AS back
    FROM seeds s
    JOIN results r ON r.driverId = s.entity AND r.date < s.cutoff
),
own AS (
    SELECT seed,
           COUNT(*) AS races,
           AVG(failed) AS failed_ever,
           AVG(failed) FILTER (WHERE back <= 3) AS failed_3,
           AVG(failed) FILTER (WHERE back <= 5) AS failed_5,
           AVG(failed) FILTER (WHERE back <= 10) AS failed_10,
           AVG(failed) FILTER (WHERE back <= 20) AS failed_20,
           AVG(positionOrder) FILTER (WHERE back <= 5) AS position_5,
           AVG(positionOrder) FILTER (WHERE back <= 20) AS position_20,
           AVG(grid) FILTER (WHERE back <= 5) AS grid_5,
           AVG(points) FILTER (WHERE back <= 10) AS points_10,
           AVG(laps) FILTER (WHERE back <= 5) AS laps_5,
           DATE_DIFF('day', MAX(date), ANY_VALUE(cutoff)) AS days_since_race,
           COUNT(*) FILTER (WHERE date >= cutoff - INTERVAL '90 days') AS races_90d,
           COUNT(*) FILTER (WHERE date >= cutoff - INTERVAL '365 days') AS races_1y,
           MAX(constructorId) FILTER (WHERE back = 1) AS constructorId
    FROM past
    GROUP BY seed
),
team AS (
    SELECT s.seed,
           AVG(CAST(r.statusId <> 1 AS INT)) AS team_failed_1y,
           AVG(r.positionOrder) AS team_position_1y,
           AVG(CAST(r.statusId <> 1 AS INT)) FILTER (WHERE r.date >= s.cutoff - INTERVAL '90 days') AS team_failed_90d
    FROM seeds s
    JOIN own o ON o.seed = s.seed
    JOIN results r ON r.constructorId = o.constructorId AND r.date < s.cutoff AND r.date >= s.cutoff - INTERVAL '365 days'
    GROUP BY s.seed
),
field AS (
    SELECT c.cutoff, AVG(CAST(r.statusId <> 1 AS INT)) AS field_failed_1y
    FROM (SELECT DISTINCT cutoff FROM seeds) c
    JOIN results r ON r.date < c.cutoff AND r.date >= c.cutoff - INTERVAL '365 days'
    GROUP BY c.cutoff
)
SELECT s.seed, o.* EXCLUDE (seed, constructorId), t.* EXCLUDE (seed), f.field_failed_1y,
       DATE_DIFF('day', d.dob, s.time) / 365.25 AS age, d.nationality
FROM seeds s
JOIN drivers d ON d.driverId = s.entity
LEFT JOIN own o ON o.seed = s.seed
LEFT JOIN team t ON t.seed = s.seed
LEFT JOIN field f ON f.cutoff = s.cutoff
