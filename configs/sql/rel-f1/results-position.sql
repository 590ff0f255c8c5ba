-- Finish of this start: its place on the grid, standings of driver and car, and their recent points.
WITH start AS (
    SELECT s.seed, s.cutoff, r.raceId, r.driverId, r.constructorId, r.grid, r.number
    FROM seeds s
    JOIN results r ON r.resultId = s.entity
),
session AS (
    SELECT a.seed, MIN(q.position) AS qualified
    FROM start a
    JOIN qualifying q ON q.raceId = a.raceId AND q.driverId = a.driverId AND q.date < a.cutoff
    GROUP BY a.seed
),
grids AS (
    SELECT a.seed, COUNT(*) AS races, AVG(r.grid) AS grid_1y,
           AVG(r.grid) FILTER (WHERE r.date >= a.cutoff - INTERVAL '90 days') AS grid_90d
    FROM start a
    JOIN results r ON r.driverId = a.driverId AND r.date < a.cutoff AND r.date >= a.cutoff - INTERVAL '365 days'
    GROUP BY a.seed
),
driver AS (
    SELECT a.seed, ARG_MAX(t.position, t.date) AS standing, ARG_MAX(t.points, t.date) AS points,
           ARG_MAX(t.wins, t.date) AS wins, MAX(t.points) FILTER (WHERE t.date >= a.cutoff - INTERVAL '400 days') AS most_points_1y,
           AVG(t.position) FILTER (WHERE t.date >= a.cutoff - INTERVAL '400 days') AS standing_1y
    FROM start a
    JOIN standings t ON t.driverId = a.driverId AND t.date < a.cutoff
    GROUP BY a.seed
),
car AS (
    SELECT a.seed, ARG_MAX(t.position, t.date) AS car_standing, ARG_MAX(t.points, t.date) AS car_points,
           AVG(t.position) FILTER (WHERE t.date >= a.cutoff - INTERVAL '400 days') AS car_standing_1y
    FROM start a
    JOIN constructor_standings t ON t.constructorId = a.constructorId AND t.date < a.cutoff
    GROUP BY a.seed
),
scored AS (
    SELECT a.seed, AVG(t.points) AS car_scored_90d
    FROM start a
    JOIN constructor_results t
      ON t.constructorId = a.constructorId AND t.date < a.cutoff AND t.date >= a.cutoff - INTERVAL '90 days'
    GROUP BY a.seed
)
SELECT a.seed, a.grid, a.number, k.name AS circuit, g.year, g.round, b.qualified, n.* EXCLUDE (seed),
       v.* EXCLUDE (seed), c.* EXCLUDE (seed), p.car_scored_90d, DATE_DIFF('day', d.dob, a.cutoff) / 365.25 AS age
FROM start a
LEFT JOIN races g ON g.raceId = a.raceId
LEFT JOIN circuits k ON k.circuitId = g.circuitId
LEFT JOIN drivers d ON d.driverId = a.driverId
LEFT JOIN session b ON b.seed = a.seed
LEFT JOIN grids n ON n.seed = a.seed
LEFT JOIN driver v ON v.seed = a.seed
LEFT JOIN car c ON c.seed = a.seed
LEFT JOIN scored p ON p.seed = a.seed
