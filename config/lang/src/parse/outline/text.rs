//! What stands between quotes and in heredocs, and what to make of a line that ends within quotes.

use super::{Frame, Scanner};

impl Scanner<'_> {
    pub(super) fn heredoc(&mut self) {
        let at = self.pos;
        let line = self.rest().split_inclusive('\n').next().unwrap_or_default();
        let marker = line[2..].trim_start_matches('-').trim_end();
        let is_word =
            !marker.is_empty() && marker.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
        if is_word && line.ends_with('\n') && !line.ends_with(" \n") && !line[2..].starts_with("--") {
            self.push(Frame::Heredoc { at, marker: marker.to_owned() }, line.len());
            return;
        }
        let length = line.trim_end().len();
        self.report(
            at..at + length.max(2),
            "Invalid heredoc",
            "After << or <<- a word must follow that ends the text, and then a new line.",
            Some("write <<-EOT, the text on the next lines, and EOT on a line of its own"),
        );
        self.pos += length.max(2);
    }

    pub(super) fn in_quote(&mut self, c: char) {
        let rest = self.rest();
        match c {
            '"' => {
                self.frames.pop();
                self.pos += 1;
            }
            '\\' => {
                let next = rest[1..].chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8);
                self.pos += 1 + next;
            }
            '\n' => self.broken_line(),
            _ => self.text_or_sequence(c),
        }
    }

    fn text_or_sequence(&mut self, c: char) {
        let rest = self.rest();
        let at = self.pos;
        if rest.starts_with("$${") || rest.starts_with("%%{") {
            self.pos += 3;
        } else if rest.starts_with("${") || rest.starts_with("%{") {
            let strip = usize::from(rest[2..].starts_with('~'));
            self.push(Frame::Sequence { at, directive: c == '%' }, 2 + strip);
        } else {
            self.pos += c.len_utf8();
        }
    }

    /// A line ends within quotes. The innermost thing that began in this line is to blame.
    fn broken_line(&mut self) {
        self.note_tangle();
        let line_start = self.text[..self.pos].rfind('\n').map_or(0, |i| i + 1);
        let sequence = self.frames.iter().rev().find_map(|frame| match frame {
            Frame::Sequence { at, .. } if *at >= line_start => Some(*at),
            _ => None,
        });
        let quote = self.frames.iter().rev().find_map(|frame| match frame {
            Frame::Quote { at } => Some(*at),
            _ => None,
        });
        let quote = quote.unwrap_or(self.pos);
        match sequence {
            Some(at) => self.report(
                at..at + 2,
                "Unclosed template interpolation sequence",
                "There is no closing brace for this sequence before the end of the line.",
                Some("add the missing }"),
            ),
            None => self.report(
                quote..self.pos,
                "Invalid multi-line string",
                "Quoted text must end on the line where it begins.",
                Some("add the missing closing quote; for several lines use \\n or a heredoc (<<-EOT)"),
            ),
        }
        self.drop_line_frames(line_start, quote);
    }

    /// Forgets what was opened in the broken line, except a bracket that ends it.
    fn drop_line_frames(&mut self, line_start: usize, quote: usize) {
        let keep = self.frames.iter().take_while(|frame| {
            let (Frame::Bracket { at, .. }
            | Frame::Quote { at }
            | Frame::Sequence { at, .. }
            | Frame::Heredoc { at, .. }) = frame;
            *at < line_start.min(quote)
        });
        let keep = keep.count();
        self.frames.truncate(keep);
        let line = self.text[line_start..self.pos].trim_end();
        let at = line_start + line.len().saturating_sub(1);
        if let Some(open) = line.chars().last().filter(|c| matches!(c, '{' | '[' | '(')) {
            if let Some(item) = &mut self.item
                && self.frames.is_empty()
                && open == '{'
                && !item.assigned
            {
                item.block.get_or_insert(at);
            }
            self.frames.push(Frame::Bracket { open, at, each: false });
        }
    }

    pub(super) fn in_heredoc(&mut self, c: char) {
        let at_line_start = self.text[..self.pos].ends_with('\n');
        if at_line_start && let Some(Frame::Heredoc { marker, .. }) = self.frames.last() {
            let line = self.rest().split('\n').next().unwrap_or_default();
            if line.trim() == marker {
                self.pos += line.trim_end().len();
                self.frames.pop();
                return;
            }
        }
        self.text_or_sequence(c);
    }
}
