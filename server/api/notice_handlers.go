package api

import (
	"context"
	"encoding/base64"
	"strconv"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/notices"
	"github.com/JDevAman/kizo/server/problem"
)

// ListNotices returns a page of the user's inbox.
func (a *API) ListNotices(ctx context.Context, r routes.ListNoticesRequestObject) (routes.ListNoticesResponseObject, error) {
	limit, err := pageSize(r.Params.Limit)
	if err != nil {
		return nil, err
	}
	before, err := noticeOfCursor(orEmpty(r.Params.Cursor))
	if err != nil {
		return nil, err
	}
	unread := r.Params.Unread != nil && *r.Params.Unread
	page, err := a.notices.List(ctx, userID(ctx), notices.Query{Before: before, Unread: unread, Limit: limit})
	if err != nil {
		return nil, err
	}
	list := openapi.NoticeList{Items: make([]openapi.Notice, len(page.Notices)), Unread: page.Unread}
	for i, n := range page.Notices {
		list.Items[i] = viewNotice(n)
	}
	if page.Next > 0 {
		list.NextCursor = optional(base64.RawURLEncoding.EncodeToString(strconv.AppendInt(nil, page.Next, 10)))
	}
	return routes.ListNotices200JSONResponse(list), nil
}

// noticeOfCursor returns the id of the notice before which a page begins, or 0.
func noticeOfCursor(cursor string) (int64, error) {
	if cursor == "" {
		return 0, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	id, err2 := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || err2 != nil || id <= 0 {
		return 0, problem.New(ledger.CursorMalformed, "the cursor was not issued by this API: leave it out to begin with the first page")
	}
	return id, nil
}

func viewNotice(n notices.Notice) openapi.Notice {
	view := openapi.Notice{
		Id: n.ID, At: n.At.UTC(), Kind: string(n.Kind), Title: n.Title(), Advice: n.Advice(), Read: n.ReadAt != nil,
		Client: optional(n.Client), Address: optional(n.Address), Detail: optional(n.Detail),
	}
	if n.Payment != nil {
		view.TransferId = &n.Payment.Transfer
	}
	return view
}

// maxNoticesRead is how many notices one request marks: a page of the largest size.
const maxNoticesRead = 100

// ReadNotices marks notices of the user as read.
func (a *API) ReadNotices(ctx context.Context, r routes.ReadNoticesRequestObject) (routes.ReadNoticesResponseObject, error) {
	if n := len(r.Body.Ids); n < 1 || n > maxNoticesRead {
		return nil, reject(openapi.BodyMalformed, "ids", "name 1 to 100 notices")
	}
	found, unread, err := a.notices.MarkRead(ctx, userID(ctx), r.Body.Ids)
	if err != nil {
		return nil, err
	}
	return routes.ReadNotices200JSONResponse{Found: found, Unread: unread}, nil
}
