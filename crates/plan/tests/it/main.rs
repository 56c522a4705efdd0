//! The planner from outside: tables of its rules, and a small random world that it keeps in order.

mod build;
mod cost;
mod lives;
mod situation;
mod storm;
mod sync;
mod versions;
mod world;
