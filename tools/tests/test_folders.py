"""Tests of the kernels' folders: shared checkouts, refused hard links, damage, doubtful locks."""

import errno
import fcntl
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import kernel
import project
import template

LIBRARY = "target/debug/deps/libdependency-1.rlib"
OURS = "target/debug/deps/libmnist_kit-1.rlib"


def compile_instead():
    """Stands for the compilation: two libraries."""
    for name in (LIBRARY, OURS):
        template.write(template.TEMPLATE / name, "compiled")


@pytest.fixture
def built(tmp_path, monkeypatch):
    """A template that was built in an empty folder, without compiling anything."""
    monkeypatch.setattr(project, "BUILD", tmp_path / "build")
    folder = project.BUILD / "kernel"
    monkeypatch.setattr(template, "FOLDER", folder)
    monkeypatch.setattr(template, "TEMPLATE", folder / "template")
    monkeypatch.setattr(template, "FINGERPRINT", folder / "template" / "fingerprint.json")
    monkeypatch.setattr(template, "MANIFEST", folder / "template" / "manifest.json")
    monkeypatch.setattr(template, "RUST_SOURCES", folder / "library")
    monkeypatch.setattr(template, "copy_rust_sources", lambda: None)
    monkeypatch.setattr(project, "rust_library", lambda: None)
    monkeypatch.setattr(template, "compile_template", compile_instead)
    monkeypatch.setattr(template, "LIVE", tmp_path / "kernels")
    before = os.umask(0o077)
    try:
        with template.locked():
            assert template.ensure(lambda line: None)
    finally:
        os.umask(before)
    return folder / "template"


def test_others_read_the_template_whatever_the_umask(built):
    assert (built / LIBRARY).stat().st_mode & 0o777 == 0o644
    assert all(path.stat().st_mode & 0o777 == 0o755 for path in (built, built.parent))
    assert (built.parent / "lock").stat().st_mode & 0o777 == 0o644


def test_a_fresh_template_is_linked_and_the_kit_is_copied(built, tmp_path):
    template.copy_to(tmp_path / "copy")
    assert (tmp_path / "copy" / LIBRARY).samefile(built / LIBRARY)
    assert not (tmp_path / "copy" / OURS).samefile(built / OURS)


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_where_links_are_refused_files_are_copied(code, built, tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refuse)
    template.copy_to(tmp_path / "copy")
    assert (tmp_path / "copy" / LIBRARY).read_text() == "compiled"
    assert not (tmp_path / "copy" / LIBRARY).samefile(built / LIBRARY)


def test_a_template_that_cannot_change_is_linked_by_name(built, tmp_path, monkeypatch):
    class ReadOnly:
        f_flag = os.ST_RDONLY

    monkeypatch.setattr(os, "statvfs", lambda path: ReadOnly)
    template.copy_to(tmp_path / "copy")
    assert (tmp_path / "copy" / LIBRARY).readlink() == built / LIBRARY
    assert not (tmp_path / "copy" / OURS).is_symlink()


def test_a_full_disk_is_not_mistaken_for_a_refused_link(built, tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises((OSError, shutil.Error), match="no space"):
        template.copy_to(tmp_path / "copy")


def test_a_library_that_a_cell_truncates_is_compiled_again(built, tmp_path):
    template.copy_to(tmp_path / "copy")
    assert template.state() == "fresh"
    os.truncate(tmp_path / "copy" / LIBRARY, 0)
    assert template.state() == "damaged"
    said = []
    with template.locked():
        assert template.ensure(said.append)
    assert LIBRARY in said[0] and "has changed" in said[0]
    assert (built / LIBRARY).read_text() == "compiled" and template.state() == "fresh"


@pytest.mark.parametrize("lost", [LIBRARY, "manifest.json"])
def test_a_template_that_lost_a_file_is_damaged(lost, built):
    (built / lost).unlink()
    assert template.state() == "damaged"


def test_the_template_of_an_image_is_fresh(built):
    # A layer of an image holds copies of the files, with times in whole seconds.
    for path in filter(Path.is_file, list(built.rglob("*"))):
        content, seconds = path.read_bytes(), int(path.stat().st_mtime)
        path.unlink()
        path.write_bytes(content)
        os.utime(path, (seconds, seconds))
    assert template.state() == "fresh"


def test_a_reader_of_a_damaged_template_is_told_what_to_do(built, monkeypatch):
    os.truncate(built / LIBRARY, 0)
    monkeypatch.setattr(template, "is_ours", lambda: False)
    with template.locked(), pytest.raises(project.Problem, match="is damaged.*to run `make setup`"):
        template.ensure()
    assert not (built / LIBRARY).read_text()


def test_live_folders_are_in_the_users_cache_with_settings_for_cargo(built):
    assert not template.LIVE.is_relative_to(project.ROOT)
    folder, lock = kernel.claim()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (template.LIVE / ".cargo" / "config.toml").read_text() == template.CARGO_CONFIG
    assert kernel.has_owner(folder)
    os.close(lock)
    # The next start removes what has no owner any more, and nothing else.
    other, lock = kernel.claim()
    assert not folder.exists() and other.exists() and (template.LIVE / ".cargo").exists()
    os.close(lock)


def test_where_locks_cannot_be_trusted_nothing_is_deleted(built, monkeypatch):
    folder, lock = kernel.claim()
    os.close(lock)
    with monkeypatch.context() as patch:
        patch.setattr(project, "output_of", lambda *command: "nfs")
        kernel.sweep()
    assert folder.exists()

    def no_locks(file, kind):
        raise OSError(errno.ENOLCK, "no locks")

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", no_locks)
        kernel.sweep()
    assert folder.exists()
    # A folder with files and without a lock stays as well.
    (folder / "alive").rename(folder / "file")
    kernel.sweep()
    assert folder.exists()


def test_a_start_that_is_killed_early_or_a_removal_that_is_killed_late_leaves_nothing(built):
    empty, lock = kernel.claim()
    os.close(lock)
    (empty / "alive").unlink()
    other, lock = kernel.claim()
    os.close(lock)
    assert not empty.exists() and other.exists()
    # Where a file cannot be removed, the lock file stays for the next attempt.
    (other / "target").mkdir()
    (other / "target" / "file").write_text("kept")
    (other / "target").chmod(0o500)
    removable = os.geteuid() == 0
    kernel.remove(other)
    assert other.exists() != removable and (removable or (other / "alive").exists())


def test_a_process_with_an_empty_environment_ends_with_its_kernel(built):
    folder, lock = kernel.claim()
    left = subprocess.Popen(["env", "-i", "sleep", "600"], pass_fds=[lock])
    os.close(lock)
    assert kernel.has_owner(folder)
    kernel.end(folder)
    assert left.wait(timeout=30) == -9 and not folder.exists()


ACT = """
import sys
from pathlib import Path
import project, template, kernel
project.output_of = lambda *command, **options: "ext2/ext3" if command[0] == "stat" else None
project.rust_library = lambda: None
def compile_instead():
    template.write(template.TEMPLATE / "target/debug/deps/libdependency-1.rlib", "compiled")
template.compile_template = compile_instead
def act():
    with template.locked():
        print("built" if template.ensure(lambda line: None) else "fresh")
        folder, lock = kernel.claim()
        template.copy_to(folder)
    library = folder / "target/debug/deps/libdependency-1.rlib"
    assert library.read_text() == "compiled"
    print(folder)
project.main(act)
"""


@pytest.fixture
def shared():
    """A checkout of one user in a folder that all users can read; the test ends as it began."""
    if os.geteuid() != 0:
        pytest.skip("two users can only be tested as root")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    checkout = folder / "checkout"
    (checkout / "tools").mkdir(parents=True)
    for file in (project.ROOT / "tools").glob("*.py"):
        shutil.copy(file, checkout / "tools")
    for name in ("Cargo.toml", "Cargo.lock"):
        shutil.copy(project.ROOT / name, checkout)
    for path in (checkout, *checkout.rglob("*")):
        os.chown(path, pwd.getpwnam("daemon").pw_uid, -1)
    yield folder
    shutil.rmtree(folder)


def as_user(name, folder):
    """Lets a Unix user bring the template up to date and make a folder for a kernel."""
    user = pwd.getpwnam(name)
    home = folder / name
    if not home.exists():
        home.mkdir(mode=0o700)
        os.chown(home, user.pw_uid, user.pw_gid)
    # The interpreter of the tests can be in a folder that only root can read.
    python = next(path for path in ("/usr/bin/python3", sys.executable) if os.path.exists(path))
    return subprocess.run(
        [python, "-B", "-c", ACT],
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        umask=0o077,
        cwd=folder / "checkout" / "tools",
        env={"PATH": "/usr/bin:/bin", "HOME": str(home)},
        capture_output=True,
        text=True,
    )


def test_two_users_share_one_checkout(shared):
    early = as_user("nobody", shared)
    assert early.returncode == 1 and "Ask daemon" in early.stderr, early.stderr
    owner, guest = as_user("daemon", shared), as_user("nobody", shared)
    assert owner.returncode == 0, owner.stderr
    assert guest.returncode == 0, guest.stderr
    assert owner.stdout.startswith("built") and guest.stdout.startswith("fresh")
    for name, done in (("daemon", owner), ("nobody", guest)):
        assert Path(done.stdout.split()[1]).is_relative_to(shared / name / ".cache" / "mnist_kit")
    # The owner's sources change: the guest can neither compile nor start, and is told so.
    with open(shared / "checkout" / "Cargo.lock", "a") as file:
        file.write("\n")
    late = as_user("nobody", shared)
    assert late.returncode == 1 and "Traceback" not in late.stderr
    assert "is stale, and you cannot write to it. Ask daemon" in late.stderr
    assert as_user("daemon", shared).stdout.startswith("built")
    assert as_user("nobody", shared).returncode == 0
