//! The parameters that many operations take.

use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{Components, Object, ObjectBuilder, RefOr, Required, SchemaFormat, Type};

use super::terms::Terms;
use super::{common, id};
use crate::api::schemas::{integration_id, realm_name};

/// The tenant of all examples, which `tenantry demo` has too: the id that a form is filled in with.
const ACME: &str = "3fa85f64-5717-4562-b3fc-2c963f66afa6";

struct Common {
    name: &'static str,
    place: Place,
    description: &'static str,
    schema: fn() -> Object,
    example: Option<&'static str>,
}

#[derive(PartialEq)]
enum Place {
    Path,
    /// A header of every operation that takes a token.
    Header,
    /// A header that must be there too.
    RequiredHeader,
    /// A header that sets the terms.
    Terms,
}

const PARAMETERS: &[Common] = &[
    Common {
        name: "tenantId",
        place: Place::Path,
        description: "The tenant.",
        schema: uuid,
        example: Some(ACME),
    },
    Common {
        name: "integrationId",
        place: Place::Path,
        description: "The integration that the credential belongs to.",
        schema: integration_id,
        example: Some("github"),
    },
    Common {
        name: "id",
        place: Place::Path,
        description: "The thing within the tenant.",
        schema: uuid,
        example: None,
    },
    Common {
        name: "name",
        place: Place::Path,
        description: "The name of the realm.",
        schema: realm_name,
        example: None,
    },
    Common {
        name: "x-tenantid",
        place: Place::RequiredHeader,
        description: "The tenant the caller acts in: its own, or, for a super admin, the one that \
                      the request is about.",
        schema: uuid,
        example: Some(ACME),
    },
    Common {
        name: "realmname",
        place: Place::Header,
        description: "The realm that issued the token; absent: the one whose issuer is the token's \
                      `iss`.",
        schema: realm_name,
        example: None,
    },
    Common {
        name: "Idempotency-Key",
        place: Place::Terms,
        description: "Names the request, so that it can be repeated within 24 hours and takes \
                      effect once: the same body gets the first answer again, another one 422.",
        schema: key,
        example: None,
    },
    Common {
        name: "If-Match",
        place: Place::Terms,
        description: "The `ETag` of the state in which the thing is to be changed, or several, or \
                      `*`. In another state: 412.",
        schema: tags,
        example: None,
    },
    Common {
        name: "If-None-Match",
        place: Place::Terms,
        description: "The `ETag` of the state that the caller knows. In the same state: 304. What \
                      cannot be read is ignored.",
        schema: anything,
        example: None,
    },
];

impl Common {
    fn parameter(&self) -> Parameter {
        let (place, required) = match self.place {
            Place::Path => (ParameterIn::Path, Required::True),
            Place::RequiredHeader => (ParameterIn::Header, Required::True),
            Place::Header | Place::Terms => (ParameterIn::Header, Required::False),
        };
        ParameterBuilder::new()
            .name(self.name)
            .parameter_in(place)
            .required(required)
            .description(Some(self.description))
            .schema(Some((self.schema)()))
            .example(self.example.map(Into::into))
            .build()
    }
}

pub(super) fn add(components: &mut Components) {
    for parameter in PARAMETERS {
        let name = parameter.name.to_owned();
        components.parameters.insert(name, RefOr::T(parameter.parameter()));
    }
}

/// Puts the common parameters of an operation before its own.
pub(super) fn complete(operation: &mut Operation, path: &str, gated: bool, terms: Terms) {
    let names_its_tenant = gated || id(operation) == "signIn";
    let takes = |parameter: &&Common| match parameter.place {
        Place::Path => path.contains(&format!("{{{}}}", parameter.name)),
        Place::Header => gated,
        Place::RequiredHeader => names_its_tenant,
        Place::Terms => terms.parameter() == Some(parameter.name),
    };
    let taken = PARAMETERS.iter().filter(takes);
    let own = operation.parameters.take().unwrap_or_default();
    let all: Vec<_> =
        taken.map(|parameter| common("parameters", parameter.name)).chain(own).collect();
    operation.parameters = Some(all).filter(|all| !all.is_empty());
}

fn uuid() -> Object {
    let format = SchemaFormat::Custom("uuid".to_owned());
    ObjectBuilder::new().schema_type(Type::String).format(Some(format)).build()
}

fn anything() -> Object {
    ObjectBuilder::new().schema_type(Type::String).build()
}

fn key() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(255))
        .pattern(Some("^[!-~]+$"))
        .build()
}

fn tags() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#))
        .build()
}
