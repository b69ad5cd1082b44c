package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// slowTransfers returns the number of transfers that kizod has accepted since its start, and that
// were in it for more than 150 ms, from its metrics.
func (b *bench) slowTransfers(ctx context.Context) (slow float64, err error) {
	const (
		all    = `kizo_http_request_seconds_count{method="POST",route="/v1/transfers",status="201"} `
		within = `kizo_http_request_seconds_bucket{method="POST",route="/v1/transfers",status="201",le="0.15"} `
	)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.rig.MetricsURL(), http.NoBody)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	found := 0
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		for metric, sign := range map[string]float64{all: 1, within: -1} {
			if text, ok := strings.CutPrefix(lines.Text(), metric); ok {
				value, err := strconv.ParseFloat(text, 64)
				if err != nil {
					return 0, fmt.Errorf("metrics of kizod: %w", err)
				}
				slow += sign * value
				found++
			}
		}
	}
	if found != 2 {
		return 0, fmt.Errorf("metrics of kizod: %d of 2 metrics of transfers", found)
	}
	return slow, nil
}
