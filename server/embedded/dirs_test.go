package embedded

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

func TestDefaultDir(t *testing.T) {
	home := tempDir(t)
	t.Setenv("HOME", home)
	want := func(want string) {
		t.Helper()
		got, err := DefaultDir()
		if err != nil || got != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
	t.Setenv("XDG_DATA_HOME", "")
	want(filepath.Join(home, ".local/share/kizo"))
	t.Setenv("XDG_DATA_HOME", "relative")
	want(filepath.Join(home, ".local/share/kizo"))
	t.Setenv("XDG_DATA_HOME", "/srv/data")
	want("/srv/data/kizo")
	if os.Geteuid() != 0 {
		return
	}
	t.Setenv("XDG_DATA_HOME", "")
	testkit.Must(t, os.Chmod(home, 0o700))
	if got, err := DefaultDir(); err != nil || !strings.HasPrefix(got, "/var/lib/kizo/home-") {
		t.Errorf("a closed home: %s, %v", got, err)
	}
}

// The default directory is never below the working directory.
func TestDefaultDirWithoutHome(t *testing.T) {
	me, err := user.Current()
	if err != nil || !filepath.IsAbs(me.HomeDir) {
		t.Skipf("the password database has no home for this user: %v", err)
	}
	t.Setenv("HOME", me.HomeDir)
	t.Setenv("XDG_DATA_HOME", "")
	want, err := DefaultDir()
	testkit.Must(t, err)
	for _, home := range []string{"", "here", ".", "../above"} {
		for _, data := range []string{"", "data", "./data"} {
			t.Setenv("HOME", home)
			t.Setenv("XDG_DATA_HOME", data)
			if got, err := DefaultDir(); err != nil || got != want {
				t.Errorf("HOME=%s XDG_DATA_HOME=%s: %s, %v; want %s", home, data, got, err, want)
			}
		}
		t.Setenv("XDG_DATA_HOME", "/srv/data")
		if got, err := DefaultDir(); err != nil || got != "/srv/data/kizo" {
			t.Errorf("HOME=%s XDG_DATA_HOME=/srv/data: %s, %v", home, got, err)
		}
	}
}

func TestUnreachableAsRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root runs the servers as another user")
	}
	closed := tempDir(t)
	testkit.Must(t, os.Mkdir(filepath.Join(closed, "in"), 0o755))
	testkit.Must(t, os.WriteFile(filepath.Join(closed, "private"), nil, 0o600))
	testkit.Must(t, os.Chmod(closed, 0o700))
	for _, dir := range []string{closed, filepath.Join(closed, "in", "data")} {
		_, err := StartPostgres(t.Context(), PostgresConfig{Dir: dir})
		if unreachable, ok := errors.AsType[*UnreachableError](err); !ok || unreachable.Blocked != closed {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if left, _ := os.ReadDir(filepath.Join(closed, "in")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	// The same holds for a symbolic link to it.
	link := filepath.Join(tempDir(t), "link")
	testkit.Must(t, os.Symlink(filepath.Join(closed, "in"), link))
	_, err := StartPostgres(t.Context(), PostgresConfig{Dir: filepath.Join(link, "data")})
	if unreachable, ok := errors.AsType[*UnreachableError](err); !ok || unreachable.Blocked != closed {
		t.Errorf("through a link: %v", err)
	}
	// An empty private directory, such as mktemp -d makes, gets the permission to be entered.
	empty := tempDir(t)
	testkit.Must(t, os.Chmod(empty, 0o700))
	start(t, PostgresConfig{Dir: empty})
}

func TestRestoredByRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can change owners")
	}
	dir := tempDir(t)
	testkit.Must(t, start(t, PostgresConfig{Dir: dir}).Stop(t.Context()))
	testkit.Must(t, identity{drop: true}.own(filepath.Join(dir, "pgdata")))
	start(t, PostgresConfig{Dir: dir})
}
