//! How much the query coordinator has in hand, from its metrics: tasks that load, move or release
//! segments and channels, and nodes that are on their way out of a replica.

use std::time::Duration;

use crate::effects::http::{HttpClientSettings, http_client, http_stream};
use crate::effects::milvus::exposition::{Labels, Parser, Sink};

/// Most bytes of a page that are read.
const PAGE_LIMIT: u64 = 64 << 20;

#[derive(Debug, Default)]
struct Tasks {
    is_milvus: bool,
    count: f64,
}

impl Sink for Tasks {
    fn wants(&mut self, name: &str) -> bool {
        self.is_milvus |= name.starts_with("milvus_");
        matches!(name, "milvus_querycoord_task_num" | "milvus_querycoord_replica_ro_node_total")
    }

    fn sample(&mut self, _: &str, _: &Labels<'_>, value: f64) {
        if value.is_finite() && value > 0.0 {
            self.count += value;
        }
    }
}

/// The tasks of all coordinators behind `pages`. A family that is not on a page counts as 0.
///
/// # Errors
/// Why it cannot be told, where one of them cannot be read.
pub(super) async fn count(pages: &[String], budget: Duration) -> Result<u64, String> {
    if pages.is_empty() {
        return Err("no pod of the query coordinator is ready to be asked".to_owned());
    }
    let client =
        http_client(&HttpClientSettings::default()).map_err(|reason| reason.to_string())?;
    let mut tasks = 0.0;
    for page in pages {
        let url = format!("{page}/metrics");
        let mut parser = Parser::new(Tasks::default());
        let head = http_stream(&client, &url, PAGE_LIMIT, budget, |part| parser.feed(part)).await;
        let head = head.map_err(|reason| format!("metrics of the query coordinator: {reason}"))?;
        let (read, _) = parser.finish();
        if head.status != 200 || head.truncated || !read.is_milvus {
            let status = head.status;
            return Err(format!("no metrics of the query coordinator: status {status} at {url}"));
        }
        tasks += read.count;
    }
    Ok(tasks.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_page_has_no_tasks_and_one_with_some_counts_them_all() {
        let page = include_str!("../../../../tests/data/milvus/metrics-2.3.5.txt");
        let count = |page: &str| {
            let mut parser = Parser::new(Tasks::default());
            parser.feed(page.as_bytes());
            let (read, _) = parser.finish();
            (read.is_milvus, read.count as u64)
        };
        assert_eq!(count(page), (true, 0));
        let busy = page.replace("task_type=\"segment_grow\"} 0", "task_type=\"segment_grow\"} 3")
            + "milvus_querycoord_replica_ro_node_total{collection_id=\"1\"} 1\n";
        assert_eq!(count(&busy), (true, 4));
        assert_eq!(count("<html>"), (false, 0));
    }
}
