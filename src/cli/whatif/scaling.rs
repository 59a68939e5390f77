//! `falconer whatif scaling`: with these settings and these observations, how many replicas? Owns
//! the arguments and the reading of lines; what is asked and answered is in the files beside, what is
//! decided in `policy/scaling`.

mod answer;
mod input;
mod step;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use crate::cli::EXIT_USAGE;
use input::{Problem, Question};

/// The longest line, or single object, that is read.
const LONGEST: u64 = 64 << 20;
/// How many problems are shown; the others are counted.
const MOST_PROBLEMS: usize = 100;

/// How many replicas would there be?
///
/// Reads one JSON object, or JSON Lines with one object a line, and prints one line of JSON for each:
/// what the scaler's policy decides with these settings, these pods and this history. Mode "target" is
/// the algorithm of the Kubernetes `HorizontalPodAutoscaler`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ScalingArgs {
    /// The file with the questions; - reads standard input
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
}

const AFTER_HELP: &str = "\
Examples:
  falconer whatif scaling --input questions.jsonl
  echo '{...}' | falconer whatif scaling --input -

The fields of a question and of an answer: docs/whatif-scaling.md

Exit codes:
  0  every question was understood and answered
  1  the input cannot be read, or the answers cannot be written
  2  a question was not understood: its line and field are named; the others are answered";

/// Reads, asks, prints.
///
/// # Errors
/// When the input cannot be read, or the answers cannot be written.
pub fn execute(args: &ScalingArgs) -> anyhow::Result<ExitCode> {
    let path = &args.input;
    let input: Box<dyn BufRead> = if path.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        Box::new(BufReader::with_capacity(1 << 16, file))
    };
    let answers = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut problems = Problems::default();
    answer_all(input, answers, &mut problems)?;
    Ok(problems.exit_code())
}

/// What was not understood.
#[derive(Default)]
struct Problems {
    count: usize,
}

impl Problems {
    fn tell(&mut self, line: usize, problem: &Problem) {
        self.count += 1;
        if self.count <= MOST_PROBLEMS {
            eprintln!("falconer: line {line}: {problem}");
        }
    }

    fn exit_code(&self) -> ExitCode {
        let hidden = self.count.saturating_sub(MOST_PROBLEMS);
        if hidden > 0 {
            eprintln!("falconer: and {hidden} more lines that were not understood");
        }
        if self.count == 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_USAGE) }
    }
}

/// Answers each line. Where the first line that is not empty is only the beginning of an object, the
/// whole input is that object.
fn answer_all(
    mut input: impl BufRead,
    mut answers: impl Write,
    problems: &mut Problems,
) -> anyhow::Result<()> {
    let (mut line, mut number, mut is_first) = (Vec::new(), 0_usize, true);
    loop {
        line.clear();
        let read = input.by_ref().take(LONGEST).read_until(b'\n', &mut line);
        let read = read.context("cannot read the input")?;
        if read == 0 {
            break;
        }
        number += 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        if line.len() as u64 >= LONGEST && line.last() != Some(&b'\n') {
            problems.tell(number, &Problem::too_long(LONGEST));
            input.skip_until(b'\n').context("cannot read the input")?;
            continue;
        }
        let mut asked = Question::read(&line);
        let is_unfinished = is_first && asked.as_ref().is_err_and(Problem::is_unfinished);
        if is_unfinished && goes_on(&line, input.fill_buf().context("cannot read the input")?) {
            let rest = input.by_ref().take(LONGEST).read_to_end(&mut line);
            rest.context("cannot read the input")?;
            asked = Question::read(&line);
        }
        is_first = false;
        match asked {
            Ok(question) => {
                let answer = question.answer();
                serde_json::to_writer(&mut answers, &answer)
                    .map_err(io::Error::from)
                    .and_then(|()| answers.write_all(b"\n"))
                    .context("cannot write the answers")?;
            }
            Err(problem) => problems.tell(number + problem.line_within(), &problem),
        }
    }
    answers.flush().context("cannot write the answers")
}

/// Whether an object that is not finished in `line` goes on in what comes `next`. Where an object
/// begins that cannot be part of it, the line was cut off.
fn goes_on(line: &[u8], next: &[u8]) -> bool {
    let may_hold_an_object = matches!(line.trim_ascii_end().last(), Some(b':' | b',' | b'['));
    may_hold_an_object || next.trim_ascii_start().first() != Some(&b'{')
}

#[cfg(test)]
mod tests;
