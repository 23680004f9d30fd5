package connection

// PickingSQL are the statements that find due refreshes.
func (s *Service) PickingSQL(limit int) (now, lane, lanes string) {
	return s.dueNowSQL(limit), s.dueInLaneSQL(limit), lanesSQL(limit)
}
