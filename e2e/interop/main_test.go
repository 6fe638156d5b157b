package interop_test

import (
	"os"
	"testing"

	"culvert/e2e/interop"
)

func TestMain(m *testing.M) {
	interop.CatchFatal()
	os.Exit(m.Run())
}
