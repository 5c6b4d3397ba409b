//! `trustctl`: decides which container images may run, and proves why.

fn main() -> std::process::ExitCode {
    trustctl::run::main()
}
