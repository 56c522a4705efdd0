//! The planner from outside: tables of its rules, and a small random world that it keeps in order.

mod build;
mod cost;
mod situation;
mod storm;
mod sync;
mod world;
