package refresh_test

import (
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

func TestMain(m *testing.M) { servicetest.Main(m) }
