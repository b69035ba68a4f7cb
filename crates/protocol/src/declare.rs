//! Lets a message be declared once: as a Rust type with serde, and as what TypeScript has to know of it.
//!
//! [`message!`] is a plain struct declaration; it derives what all messages derive and keeps names, types and doc
//! comments in a [`Shape`], from which `typescript.rs` writes the client's types. So the two cannot drift apart.

/// A declared object: its name and members, as they are in JSON.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static [&'static str],
    pub(crate) members: Vec<Member>,
}

/// One member of a declared object.
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static [&'static str],
    /// How TypeScript writes its type.
    pub(crate) typescript: String,
    /// The member's serde attribute, which says whether it may be absent.
    pub(crate) serde: &'static str,
}

/// How a Rust type is written in TypeScript.
pub(crate) trait TypeScript {
    fn typescript() -> String;
}

/// A declared object.
pub(crate) trait Declared {
    fn shape() -> Shape;
}

macro_rules! typescript_name {
    ($($type:ty => $name:literal),* $(,)?) => {
        $(impl $crate::declare::TypeScript for $type {
            fn typescript() -> String {
                $name.to_owned()
            }
        })*
    };
}
pub(crate) use typescript_name;

typescript_name! { String => "string", bool => "boolean", u32 => "number", i64 => "number" }

impl<T: TypeScript> TypeScript for Option<T> {
    fn typescript() -> String {
        format!("{} | null", T::typescript())
    }
}

impl<T: TypeScript> TypeScript for Vec<T> {
    fn typescript() -> String {
        format!("{}[]", T::typescript())
    }
}

impl<T: TypeScript> TypeScript for Box<T> {
    fn typescript() -> String {
        T::typescript()
    }
}

/// Declares a struct of public members, each with a doc comment and at most one serde attribute.
macro_rules! message {
    (
        $(#[doc = $doc:literal])+
        $(#[derive($($derive:path),*)])?
        $(#[serde($($whole:tt)*)])?
        pub struct $name:ident {
            $($(#[doc = $member_doc:literal])+ $(#[serde($($serde:tt)*)])? pub $member:ident: $type:ty,)*
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, serde::Serialize, serde::Deserialize $(, $($derive),*)?)]
        $(#[serde($($whole)*)])?
        pub struct $name {
            $($(#[doc = $member_doc])+ $(#[serde($($serde)*)])? pub $member: $type,)*
        }

        impl $crate::declare::TypeScript for $name {
            fn typescript() -> String {
                stringify!($name).to_owned()
            }
        }

        impl $crate::declare::Declared for $name {
            fn shape() -> $crate::declare::Shape {
                $crate::declare::Shape {
                    name: stringify!($name),
                    doc: &[$($doc),+],
                    members: vec![$($crate::declare::Member {
                        name: stringify!($member).trim_start_matches("r#"),
                        doc: &[$($member_doc),+],
                        typescript: <$type as $crate::declare::TypeScript>::typescript(),
                        serde: stringify!($($($serde)*)?),
                    }),*],
                }
            }
        }
    };
}
pub(crate) use message;
