package pgtest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

func migrate(ctx context.Context, adminURL string) error {
	conn, err := pgx.Connect(ctx, adminURL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, `CREATE TABLE notes (text text PRIMARY KEY); GRANT SELECT, INSERT ON notes TO kizo_app`)
	return err
}

func TestMain(m *testing.M) { pgtest.Main(m, migrate) }

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func TestNew(t *testing.T) {
	t.Parallel()
	for i := range 8 {
		t.Run(fmt.Sprint("database ", i), func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			app := connect(t, db.AppURL)
			if _, err := app.Exec(t.Context(), `INSERT INTO notes VALUES ('same key')`); err != nil {
				t.Error(err)
			}
			if _, err := app.Exec(t.Context(), `DELETE FROM notes`); err == nil {
				t.Error("the application has a privilege that was not granted")
			}
			if _, err := connect(t, db.AdminURL).Exec(t.Context(), `DELETE FROM notes`); err != nil {
				t.Error(err)
			}
			var fsync, super string
			if err := connect(t, db.SuperuserURL).QueryRow(t.Context(),
				`SELECT current_setting('fsync'), current_setting('is_superuser')`).Scan(&fsync, &super); err != nil || fsync+super != "onon" {
				t.Errorf("fsync %s, superuser %s, %v", fsync, super, err)
			}
		})
	}
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	if err := migrate(t.Context(), db.AdminURL); err != nil {
		t.Errorf("the owner cannot migrate an empty database: %v", err)
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		pgtest.New(b)
	}
}
