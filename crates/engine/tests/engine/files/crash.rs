//! A crash after any step leaves the component wholly old or wholly new, or the next call makes it so.

use super::double::{Steps, back_up, live, look, put, read, settings, target_context, write};
use engine::Result;
use engine::config::component::{ConfigFilesSettings, FilesSettings};
use engine::source::config::ConfigSource;
use engine::target::files::STEPS;
use engine::target::{Context, Target};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use vault::Silent;

type Seen = BTreeMap<PathBuf, String>;

/// A component in a folder of its own, restored and not yet swapped.
struct Case {
    base: PathBuf,
    make: Box<dyn Fn() -> Box<dyn Target>>,
}

impl Case {
    fn seen(&self) -> Seen {
        look(&self.base)
    }

    fn act(&self, steps: &Steps, act: fn(&mut dyn Target, &Context<'_>) -> Result<()>) {
        act((self.make)().as_mut(), &target_context(steps)).unwrap();
    }
}

fn swap(target: &mut dyn Target, context: &Context<'_>) -> Result<()> {
    target.swap(context)
}

fn swap_back(target: &mut dyn Target, context: &Context<'_>) -> Result<()> {
    target.swap_back(context)
}

/// Crashes after each step of `act` and then calls `after`; both sides must be whole.
fn crash_everywhere(setup: &dyn Fn(&Path) -> Case, heard: &mut BTreeSet<&'static str>) {
    let mut reference = None;
    for (act, first) in [(swap as fn(&mut dyn Target, &Context<'_>) -> Result<()>, None), (swap_back, Some(swap))] {
        for after in [swap as fn(&mut dyn Target, &Context<'_>) -> Result<()>, swap_back] {
            for stop_at in 1.. {
                let folder = tempfile::tempdir().unwrap();
                let case = setup(folder.path());
                let (old, new) = sides(&case, &mut reference);
                if let Some(first) = first {
                    case.act(&Steps::default(), first);
                }
                let steps = Steps { stop_at: Some(stop_at), ..Steps::default() };
                let crashed = catch_unwind(AssertUnwindSafe(|| case.act(&steps, act))).is_err();
                heard.extend(steps.heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner).iter());
                case.act(&Steps::default(), after);
                let is_new = std::ptr::fn_addr_eq(after, swap as fn(&mut dyn Target, &Context<'_>) -> Result<()>);
                assert_eq!(shape(&case.seen()), if is_new { new } else { old }, "after step {stop_at}");
                // Back and forth once more: nothing was lost under way.
                case.act(&Steps::default(), swap_back);
                case.act(&Steps::default(), swap);
                case.act(&Steps::default(), |target, context| target.discard(context));
                unmount_below(folder.path());
                if !crashed {
                    break;
                }
            }
        }
    }
}

/// What the two sides look like, found out by an undisturbed run.
fn sides(case: &Case, reference: &mut Option<(Seen, Seen)>) -> (Seen, Seen) {
    reference
        .get_or_insert_with(|| {
            let old = shape(&case.seen());
            case.act(&Steps::default(), swap);
            let new = shape(&case.seen());
            case.act(&Steps::default(), swap_back);
            assert_eq!(shape(&case.seen()), old);
            assert_ne!(old, new);
            (old, new)
        })
        .clone()
}

/// Without what differs from one run to the next.
fn shape(seen: &Seen) -> Seen {
    let what = |text: &String| text.split(" (").next().unwrap().to_owned();
    seen.iter().map(|(path, text)| (path.clone(), what(text))).collect()
}

fn unmount_below(folder: &Path) {
    let _ = unmount(folder.join("app/uploads"), UnmountFlags::DETACH);
}

fn fill(uploads: &Path) {
    for file in ["a/1", "a/2", "same", "only old", "folder or file/x"] {
        write(&uploads.join(file), file);
    }
}

fn tree_case(folder: &Path, is_mount: bool) -> Case {
    let (uploads, state) = (folder.join("app/uploads"), folder.join("state"));
    std::fs::create_dir_all(&uploads).unwrap();
    std::fs::create_dir(&state).unwrap();
    if is_mount {
        mount("tmpfs", &uploads, "tmpfs", MountFlags::empty(), None).unwrap();
    }
    fill(&uploads);
    let settings = FilesSettings { exclude: vec!["*.tmp".to_owned()], ..settings(&uploads) };
    let (memory, manifest) = back_up(settings.clone());
    std::fs::remove_dir_all(uploads.join("folder or file")).unwrap();
    std::fs::remove_file(uploads.join("only old")).unwrap();
    for file in ["a/1", "a/3", "folder or file", "since", "a/x.tmp", "y.tmp", ".env"] {
        write(&uploads.join(file), "live");
    }
    let make = Box::new(move || {
        Box::new(engine::target::files::target("uploads", settings.clone(), live(&state)).unwrap()) as Box<dyn Target>
    });
    put(make().as_mut(), &memory, &manifest);
    Case { base: uploads, make }
}

fn config_case(folder: &Path) -> Case {
    let (app, state) = (folder.join("app"), folder.join("state"));
    std::fs::create_dir(&state).unwrap();
    for file in ["package.json", "prisma/schema.prisma", ".env", "unlisted"] {
        write(&app.join(file), file);
    }
    let files = ["package.json", "package-lock.json", "prisma/schema.prisma", "deep/down/x.json"];
    let settings = ConfigFilesSettings { path: app.clone(), files: files.map(str::to_owned).to_vec() };
    let (memory, manifest) = read(&mut ConfigSource::new("config", settings.clone()).unwrap());
    std::fs::remove_dir_all(app.join("prisma")).unwrap();
    for file in ["package.json", "package-lock.json", "deep/down/x.json"] {
        write(&app.join(file), "live");
    }
    let make = Box::new(move || {
        Box::new(engine::target::config::target("config", settings.clone(), live(&state)).unwrap()) as Box<dyn Target>
    });
    put(make().as_mut(), &memory, &manifest);
    Case { base: app, make }
}

#[test]
fn of_a_folder() {
    let mut heard = BTreeSet::new();
    crash_everywhere(&|folder| tree_case(folder, false), &mut heard);
    let expected = STEPS.iter().filter(|step| step.contains("swap")).copied().collect();
    assert_eq!(heard, expected, "every step was crashed at");
}

#[test]
fn of_a_folder_that_did_not_exist() {
    crash_everywhere(
        &|folder| {
            let case = tree_case(folder, false);
            std::fs::remove_dir_all(&case.base).unwrap();
            case
        },
        &mut BTreeSet::new(),
    );
}

#[test]
fn of_a_mount_point() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    crash_everywhere(&|folder| tree_case(folder, true), &mut BTreeSet::new());
}

#[test]
fn of_configuration_files() {
    crash_everywhere(&config_case, &mut BTreeSet::new());
}

#[test]
fn a_crash_while_the_old_is_removed_never_brings_half_of_it_back() {
    for stop_at in 1..=2 {
        let folder = tempfile::tempdir().unwrap();
        let case = tree_case(folder.path(), false);
        case.act(&Steps::default(), swap);
        let new = case.seen();
        let steps = Steps { stop_at: Some(stop_at), ..Steps::default() };
        catch_unwind(AssertUnwindSafe(|| case.act(&steps, |target, context| target.discard(context)))).unwrap_err();
        assert!((case.make)().swap_back(&target_context(&Silent)).is_err());
        case.act(&Steps::default(), |target, context| target.discard(context));
        assert_eq!(shape(&case.seen()), shape(&new));
        let left: Vec<_> = std::fs::read_dir(folder.path().join("app")).unwrap().collect();
        assert_eq!(left.len(), 1);
    }
}

#[test]
fn a_mount_inside_the_folder_is_refused_beforehand() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let case = tree_case(folder.path(), false);
    let inner = case.base.join("inner");
    std::fs::create_dir(&inner).unwrap();
    mount("tmpfs", &inner, "tmpfs", MountFlags::empty(), None).unwrap();
    write(&inner.join("precious"), "x");
    let error = (case.make)().swap(&target_context(&Silent)).unwrap_err();
    let kept = inner.join("precious").exists();
    unmount(&inner, UnmountFlags::DETACH).unwrap();
    assert!(kept && error.message().contains("inner"), "{error}");
}
