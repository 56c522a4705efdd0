//! The API's own types: there is no model of a pod beside them.

pub use k8s_openapi::{
    api::core::v1::*,
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta, Time},
        util::intstr::IntOrString,
    },
};
