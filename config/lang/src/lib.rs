//! The expression language of templates: values, evaluation, deferred leaves, the Go-template dialect.
