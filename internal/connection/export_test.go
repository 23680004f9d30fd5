package connection

// LaneSettings are those under which PostgreSQL is asked for what waits in a lane.
const LaneSettings = laneSettings

// PickingSQL are the statements that find due refreshes.
func (s *Service) PickingSQL(limit int) (now, lane, lanes string) {
	return s.dueNowSQL(limit), s.dueInLaneSQL(limit), lanesSQL(limit)
}
