package main

import (
	"encoding/json"
	"math"
	"os"
	"testing"
	"time"

	"github.com/JDevAman/kizo/loadtest/model"
	"github.com/JDevAman/kizo/loadtest/rig"
)

// The model predicts what a run with three rounds measured on two cores: testdata has its phases.
func TestModelAgainstMeasurement(t *testing.T) {
	recorded, err := os.ReadFile("testdata/cores.json")
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(recorded, &r); err != nil {
		t.Fatal(err)
	}
	b := &bench{options: options{connections: 100}, users: make([]rig.User, 1000)}
	all := b.arrangements()
	costs := r.compareModel(all, 3)
	if len(r.Checks) != len(all) {
		t.Errorf("%d of %d arrangements were compared", len(r.Checks), len(all))
	}
	for _, missed := range r.Missed() {
		t.Error(missed)
	}
	r.addServiceTimes(costs)
	r.addPredictions(costs)
	if rows := len(r.Tables[2].Rows); rows != len(larger()) {
		t.Errorf("%d predictions, want %d", rows, len(larger()))
	}
}

func TestFitLine(t *testing.T) {
	at0, slope := fitLine([]float64{10, 50, 300}, []float64{.003, .007, .032})
	if math.Abs(at0.Seconds()-.002) > 1e-6 || math.Abs(slope.Seconds()-.0001) > 1e-6 {
		t.Errorf("%s + %s·x", at0, slope)
	}
}

func TestServiceTimesAddUp(t *testing.T) {
	p := Phase{Accepted: 1000, Batches: 20, Commands: 1000, Spent: rig.Gauge{Kizod: 60 * time.Millisecond, Postgres: 80 * time.Millisecond, Generator: 15 * time.Millisecond}}
	c := serviceTimes(p, model.Costs{PostgresBatch: 500 * time.Microsecond, PostgresCommand: 50 * time.Microsecond, KizodBatch: 300 * time.Microsecond, KizodCommand: 10 * time.Microsecond})
	if got := c.Request + c.KizodCommand + c.KizodBatch/50; (got - 60*time.Microsecond).Abs() > time.Microsecond {
		t.Errorf("kizod: %s", got)
	}
	if got := c.PostgresCommand + c.PostgresBatch/50; (got - 80*time.Microsecond).Abs() > time.Microsecond {
		t.Errorf("PostgreSQL: %s", got)
	}
}
