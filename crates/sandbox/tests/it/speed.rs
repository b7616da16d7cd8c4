//! How long a sandbox and a command in it take; `cargo xtask spec` measures them on a built release. Here
//! the bounds are wide: a machine under load, a build without optimisation.

use crate::{
    cell::{Cell, command, helper},
    fuse,
};
use sandbox::jail::{Jail, Root, Spec, Wall};
use std::{
    fs,
    time::{Duration, Instant},
};

const ROUNDS: usize = 30;

/// The middle one.
fn middle(name: &str, mut times: Vec<Duration>) -> Duration {
    times.sort();
    let middle = times[times.len() / 2];
    println!("{name}: p50 {middle:?}, least {:?}, most {:?}", times[0], times[times.len() - 1]);
    middle
}

fn stand(wall: &Wall) -> Jail {
    let mut starting = wall.start(&Spec::new(Root::View)).unwrap();
    drop(fuse::serve(starting.take_fuse().unwrap()));
    starting.ready().unwrap()
}

fn timed<T>(times: &mut Vec<Duration>, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    times.push(begun.elapsed());
    done
}

fn run(jail: &Jail) {
    let (order, _out) = command(&["/bin/true"]);
    jail.exec(&order).unwrap().wait();
}

#[test]
fn a_sandbox_stands_and_falls_in_milliseconds() {
    let wall = Wall::new(helper());
    drop(stand(&wall));
    let (mut starts, mut firsts, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let jail = timed(&mut starts, || stand(&wall));
        timed(&mut firsts, || run(&jail));
        timed(&mut ends, || jail.kill().unwrap());
    }
    let first = middle("start", starts) + middle("its first command", firsts);
    assert!(first < Duration::from_millis(600), "{first:?}");
    assert!(middle("end", ends) < Duration::from_millis(300));
}

#[test]
fn a_command_in_a_standing_sandbox_takes_milliseconds() {
    let cell = Cell::new();
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        timed(&mut times, || run(&cell.jail));
    }
    assert!(middle("exec", times) < Duration::from_millis(300));
}

#[test]
fn many_at_once_stand_and_fall() {
    let wall = Wall::new(helper());
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let jails: Vec<Jail> = (0..8).map(|_| stand(&wall)).collect();
                jails.iter().for_each(run);
            });
        }
    });
}

/// Short steps with a pause between them, as a daemon makes them: how many in half a second.
fn steps() -> usize {
    let begun = Instant::now();
    let pause = rustix::event::Timespec { tv_sec: 0, tv_nsec: 200_000 };
    let mut count = 0;
    while begun.elapsed() < Duration::from_millis(500) {
        let none: &mut [rustix::event::PollFd<'_>] = &mut [];
        rustix::event::poll(none, Some(&pause)).unwrap();
        count += 1;
    }
    count
}

/// The two are measured in turn, for others may work on this machine: once of many is enough, and the control
/// shows that once is too much where a sandbox weighs more.
#[test]
fn a_sandbox_weighs_as_much_as_one_process() {
    let cell = Cell::new();
    // A session each: where there is no group, the kernel gives each of them as much as the daemon.
    let script = "for i in $(seq 16); do setsid bash -c 'while :; do :; done' & done; wait";
    let (_running, _out) = cell.spawn(&["bash", "-c", script]);
    cell.wait_processes(17);
    let goes_on = |rounds: usize| {
        (0..rounds).any(|_| {
            cell.jail.freeze().unwrap();
            let alone = steps();
            cell.jail.thaw().unwrap();
            let beside = steps();
            println!("{alone} steps alone, {beside} beside 16 that never wait");
            beside * 2 > alone
        })
    };
    assert!(goes_on(20));
    let weights = [("cpu.shares", "262144"), ("cpu.weight", "10000")];
    let files = cell.groups().into_iter().flat_map(|dir| weights.map(|(name, much)| (dir.join(name), much)));
    let raised = files.filter(|(file, _)| file.exists()).map(|(file, much)| fs::write(file, much).unwrap());
    assert_ne!(raised.count(), 0);
    assert!(!goes_on(3));
}
