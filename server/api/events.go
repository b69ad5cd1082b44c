package api

import "context"

// StreamEvents tells what happens to the user's transfers.
func (a *API) StreamEvents(context.Context, StreamEventsRequestObject) (StreamEventsResponseObject, error) {
	return nil, faultf(Unavailable, "", "there are no events here yet")
}

// GetSummary is what a dashboard opens with.
func (a *API) GetSummary(context.Context, GetSummaryRequestObject) (GetSummaryResponseObject, error) {
	return nil, faultf(Unavailable, "", "there is no summary here yet")
}
