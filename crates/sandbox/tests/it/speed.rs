//! How long a sandbox and a command in it take; `cargo xtask spec` measures them on a built release. Here
//! the
//! bounds are wide: a machine under load, a build without optimisation.

use crate::{
    cell::{Cell, command, helper},
    fuse,
};
use sandbox::jail::{Jail, Root, Spec, Wall};
use std::time::{Duration, Instant};

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
    assert!(first < Duration::from_millis(120), "{first:?}");
    assert!(middle("end", ends) < Duration::from_millis(100));
}

#[test]
fn a_command_in_a_standing_sandbox_takes_milliseconds() {
    let cell = Cell::new();
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        timed(&mut times, || run(&cell.jail));
    }
    assert!(middle("exec", times) < Duration::from_millis(50));
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
