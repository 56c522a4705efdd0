//! Every kind of bad weather in the backend: what callers and operators see while it lasts, and
//! how soon all is well when it is over. One table; the page for operators is made from it.

mod row;

mod rig;

mod drive;

mod judge;

mod page;

mod network;

mod answers;

mod logins;

mod keys;

mod run;
