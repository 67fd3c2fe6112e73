//! Bindings generated from `wit/`: one module for each world, all with the types of the first.

pub use leaf::frond::plugin::types::{Coverage, Failure, Partition};

#[allow(missing_docs, unsafe_code, reason = "generated")]
pub mod leaf {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "leaf",
        pub_export_macro: true,
        export_macro_name: "export",
        generate_all,
    });
}

#[allow(missing_docs, unsafe_code, reason = "generated")]
pub mod merger {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "merger",
        pub_export_macro: true,
        export_macro_name: "export",
        with: { "frond:plugin/types@0.1.1": crate::bindings::leaf::frond::plugin::types },
    });
}

#[allow(missing_docs, unsafe_code, reason = "generated")]
pub mod splitter {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "splitter",
        pub_export_macro: true,
        export_macro_name: "export",
        with: { "frond:plugin/types@0.1.1": crate::bindings::leaf::frond::plugin::types },
    });
}

#[cfg(target_family = "wasm")]
#[allow(missing_docs, unsafe_code, unreachable_pub, reason = "generated")]
pub(crate) mod outside {
    wit_bindgen::generate!({ path: "wit", world: "outside", generate_all });
}
