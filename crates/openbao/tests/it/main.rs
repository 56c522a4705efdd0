//! The client against a development server in this process: real TLS, real HTTP.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod canary;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod login;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod trust;
