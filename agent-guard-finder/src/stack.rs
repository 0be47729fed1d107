//! One module per family of TLS libraries. Each looks at an image and says what of its family is in it.

mod openssl;

use crate::finding::Finding;
use crate::image::Image;

pub(crate) const REGISTRY: &[fn(&Image<'_>) -> Option<Finding>] = &[openssl::find];
