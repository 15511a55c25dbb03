//! The agreement between deciding and doing: ids, build plans, component schemas, requirements.
