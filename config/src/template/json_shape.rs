//! Which properties of a `.pkr.json` file are blocks. JSON alone can't tell; bodies of components stay
//! arguments, because only their schemas know.

use std::sync::LazyLock;

use kiln_lang::parse::BlockShapes;

/// The shapes of a template file.
pub(crate) static TOP_LEVEL: LazyLock<BlockShapes> = LazyLock::new(|| {
    let none = BlockShapes::none;
    BlockShapes::none()
        .with("packer", 0, none().with("required_plugins", 0, none()))
        .with("variable", 1, none().with("validation", 0, none()))
        .with("variables", 0, none())
        .with("local", 1, none())
        .with("locals", 0, none())
        .with("data", 2, none())
        .with("source", 2, dynamic(none()))
        .with("build", 0, dynamic(build()))
        .with("hcp_packer_registry", 0, none())
        .with("communicator", 2, none())
});

fn build() -> BlockShapes {
    let none = BlockShapes::none;
    none()
        .with("source", 1, dynamic(none()))
        .with("provisioner", 1, dynamic(none()))
        .with("error-cleanup-provisioner", 1, dynamic(none()))
        .with("post-processor", 1, dynamic(none()))
        .with("post-processors", 0, dynamic(none().with("post-processor", 1, dynamic(none()))))
        .with("hcp_packer_registry", 0, none())
        .with("from", 1, none())
}

fn dynamic(shapes: BlockShapes) -> BlockShapes {
    let content = BlockShapes::none().with("content", 0, BlockShapes::none());
    shapes.with("dynamic", 1, content)
}
