package deploy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/VictoriaMetrics/metricsql"
)

// labels are the names of a series' labels.
type labels map[string]bool

func labelsOf(names ...string) labels {
	l := labels{}
	for _, name := range names {
		l[name] = true
	}
	return l
}

// metric describes a name that PromQL can refer to, such as x_bucket.
type metric struct {
	labels  labels
	counter bool // it only grows, so it has a rate
}

// vocabulary contains every metric.
type vocabulary map[string]metric

// check parses an expression and returns the labels of its result. The error names every unknown
// metric and label in it, and every rate of a metric that is no counter.
func (v vocabulary) check(text string) (labels, error) {
	text = strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*").Replace(text)
	expr, err := metricsql.Parse(text)
	if err != nil {
		return nil, err
	}
	return v.result(expr)
}

func (v vocabulary) result(expr metricsql.Expr) (labels, error) {
	switch e := expr.(type) {
	case *metricsql.NumberExpr, *metricsql.StringExpr, *metricsql.DurationExpr:
		return labels{}, nil
	case *metricsql.MetricExpr:
		return v.selected(e)
	case *metricsql.RollupExpr:
		return v.result(e.Expr)
	case *metricsql.FuncExpr:
		return v.function(e)
	case *metricsql.AggrFuncExpr:
		return v.aggregated(e)
	case *metricsql.BinaryOpExpr:
		left, errLeft := v.result(e.Left)
		right, errRight := v.result(e.Right)
		if e.Op == "or" || len(left) == 0 { // the left side is a number
			maps.Copy(left, right)
		}
		return left, errors.Join(errLeft, errRight, known(e.GroupModifier.Args, left, e), known(e.GroupModifier.Args, right, e))
	}
	return nil, fmt.Errorf("%T is not understood here: %s", expr, expr.AppendString(nil))
}

func (v vocabulary) selected(e *metricsql.MetricExpr) (labels, error) {
	var asked []string
	name := ""
	for _, filters := range e.LabelFilterss {
		for _, filter := range filters {
			if filter.Label == "__name__" {
				name = filter.Value
			} else {
				asked = append(asked, filter.Label)
			}
		}
	}
	m, ok := v[name]
	if !ok {
		return labels{}, fmt.Errorf("there is no metric %q", name)
	}
	return maps.Clone(m.labels), known(asked, m.labels, e)
}

func (v vocabulary) function(e *metricsql.FuncExpr) (labels, error) {
	all := labels{}
	var errs []error
	for _, arg := range e.Args {
		l, err := v.result(arg)
		errs = append(errs, err)
		maps.Copy(all, l)
	}
	switch e.Name {
	case "rate", "increase", "irate":
		if rollup, ok := e.Args[0].(*metricsql.RollupExpr); ok {
			if of, ok := rollup.Expr.(*metricsql.MetricExpr); ok && !v[nameOf(of)].counter {
				errs = append(errs, fmt.Errorf("%s of %s, which does not only grow", e.Name, nameOf(of)))
			}
		}
	case "histogram_quantile":
		if !all["le"] {
			errs = append(errs, fmt.Errorf("a percentile without le: %s", e.AppendString(nil)))
		}
		delete(all, "le")
	case "scalar", "vector":
		all = labels{}
	}
	return all, errors.Join(errs...)
}

func (v vocabulary) aggregated(e *metricsql.AggrFuncExpr) (labels, error) {
	all := labels{}
	var errs []error
	for _, arg := range e.Args {
		l, err := v.result(arg)
		errs = append(errs, err)
		maps.Copy(all, l)
	}
	errs = append(errs, known(e.Modifier.Args, all, e))
	if e.Modifier.Op == "without" {
		for _, name := range e.Modifier.Args {
			delete(all, name)
		}
		return all, errors.Join(errs...)
	}
	return labelsOf(e.Modifier.Args...), errors.Join(errs...)
}

func nameOf(e *metricsql.MetricExpr) string {
	for _, filters := range e.LabelFilterss {
		for _, filter := range filters {
			if filter.Label == "__name__" {
				return filter.Value
			}
		}
	}
	return ""
}

// known returns an error that lists the names which are not among the labels.
func known(asked []string, have labels, where metricsql.Expr) error {
	for _, name := range asked {
		if !have[name] {
			return fmt.Errorf("there is no label %q but %v: %s", name, slices.Sorted(maps.Keys(have)), where.AppendString(nil))
		}
	}
	return nil
}
