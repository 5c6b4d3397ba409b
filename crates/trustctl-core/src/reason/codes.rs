//! How a table of reason codes becomes an enum and its texts.

macro_rules! codes {
    ($($variant:ident = $number:literal $name:literal rank $rank:literal
        $summary:literal;
        $meaning:literal;
        $advice:literal)+) => {
        /// A stable reason code. The table behind it says what it means and what to do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $summary] $variant,)+
        }

        impl Code {
            /// Every code, ordered by number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The number behind `TC`.
            #[must_use]
            pub fn number(self) -> u16 {
                match self { $(Self::$variant => $number,)+ }
            }

            /// The name, `scheme.fact`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// How telling the reason is: when several apply, the highest is shown first.
            #[must_use]
            pub fn rank(self) -> u8 {
                match self { $(Self::$variant => $rank,)+ }
            }

            /// One line: what it says.
            #[must_use]
            pub fn summary(self) -> &'static str {
                match self { $(Self::$variant => $summary,)+ }
            }

            /// A paragraph: what it means and why it matters.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }

            /// What to do next. Never weakens the policy.
            #[must_use]
            pub fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice,)+ }
            }
        }
    };
}
