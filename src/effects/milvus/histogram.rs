//! Cumulative histograms as Prometheus has them: sums over series, differences over time, quantiles.
//! Knows no metric.

/// Most buckets of one histogram that are kept; Milvus has 19.
const MAX_BUCKETS: usize = 64;

/// A histogram whose buckets are summed over all series: upper bound and cumulative count, in the
/// order of the bounds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram(Vec<(f64, f64)>);

impl Histogram {
    /// How many buckets there are.
    pub fn bucket_count(&self) -> usize {
        self.0.len()
    }

    /// Adds a bucket of one more series; one whose bound is no number is left out.
    pub fn add(&mut self, bound: &str, count: f64) {
        let Ok(bound) = bound.parse::<f64>() else { return };
        if bound.is_nan() {
            return;
        }
        match self.0.binary_search_by(|(other, _)| other.total_cmp(&bound)) {
            Ok(at) => self.0[at].1 += count,
            Err(at) if self.0.len() < MAX_BUCKETS => self.0.insert(at, (bound, count)),
            Err(_) => {}
        }
    }

    /// What was counted since `earlier`; `None` where a count went down.
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        let before = |bound: f64| {
            earlier.0.iter().find(|(other, _)| other.total_cmp(&bound).is_eq()).map_or(0.0, |b| b.1)
        };
        let buckets = self.0.iter().map(|(bound, count)| {
            let delta = count - before(*bound);
            (delta >= 0.0).then_some((*bound, delta))
        });
        buckets.collect::<Option<Vec<_>>>().map(Self)
    }

    /// The value below which the share `quantile` of the observations lies, interpolated within
    /// its bucket as Prometheus does. `None` without observations or without an infinite bucket.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let (last_bound, total) = *self.0.last()?;
        if !last_bound.is_infinite() || total <= 0.0 {
            return None;
        }
        let rank = quantile * total;
        let mut lower = (0.0, 0.0);
        for &(bound, count) in &self.0 {
            if count >= rank && bound.is_infinite() {
                // Beyond the last bound nothing is known but that bound.
                return (self.0.len() > 1).then_some(lower.0);
            }
            if count >= rank {
                let within = count - lower.1;
                let share = if within > 0.0 { (rank - lower.1) / within } else { 1.0 };
                return Some(lower.0 + (bound - lower.0) * share);
            }
            lower = (bound, count);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_at_the_edges_of_a_histogram_are_defined() {
        let histogram = |buckets: &[(&str, f64)]| {
            let mut histogram = Histogram::default();
            for (bound, count) in buckets {
                histogram.add(bound, *count);
            }
            histogram
        };
        assert_eq!(histogram(&[]).quantile(0.5), None);
        assert_eq!(histogram(&[("1", 5.0)]).quantile(0.5), None, "no infinite bucket");
        assert_eq!(histogram(&[("1", 0.0), ("+Inf", 0.0)]).quantile(0.5), None);
        assert_eq!(histogram(&[("+Inf", 3.0)]).quantile(0.5), None);
        assert_eq!(histogram(&[("1", 0.0), ("8", 0.0), ("+Inf", 3.0)]).quantile(0.5), Some(8.0));
        assert_eq!(histogram(&[("8", 4.0), ("+Inf", 4.0)]).quantile(0.5), Some(4.0));
    }
}
