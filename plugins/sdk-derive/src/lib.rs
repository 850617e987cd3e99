//! `#[derive(Config)]` of `orchestrator-plugin`: one struct becomes the JSON Schema, the defaults and the documentation of
//! a plugin's settings. Use it through that crate.

use proc_macro::TokenStream;
use quote::quote;
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;

/// Derives `orchestrator_plugin::Config` for a struct with named fields. The struct's doc comment becomes the plugin's
/// summary, each field's doc comment its description.
///
/// `#[config(default = EXPR)]` makes a field optional; without it, only `Option` fields are.
/// `min`, `max`, `above`, `below` bound a number (the latter two exclude the bound); `one_of = ["a", "b"]` lists the
/// values a string may take; `file` says that a string names a file, which the host reads and lends
/// (`orchestrator_plugin::Call::file`).
///
/// `#[config(check = FUNCTION)]` on the struct gives a function of `&Self`, with an `orchestrator_plugin::Result<()>`, that is
/// called once all settings are read: for those that contradict each other. What it refuses is told before a run begins.
#[proc_macro_derive(Config, attributes(config))]
pub fn derive_config(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    expand(&input)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

fn expand(input: &syn::DeriveInput) -> syn::Result<proc_macro2::TokenStream> {
    let syn::Data::Struct(data) = &input.data else {
        return Err(syn::Error::new(
            input.span(),
            "Config is for structs: one field a setting",
        ));
    };
    let name = &input.ident;
    let summary = documentation(&input.attrs);
    let (mut properties, mut reads) = (Vec::new(), Vec::new());
    match &data.fields {
        syn::Fields::Named(fields) => {
            for field in &fields.named {
                let (property, read) = expand_field(field)?;
                properties.push(property);
                reads.push(read);
            }
        }
        syn::Fields::Unit => {}
        syn::Fields::Unnamed(fields) => {
            return Err(syn::Error::new(
                fields.span(),
                "settings need names: use a struct with named fields",
            ));
        }
    }
    let build = if matches!(data.fields, syn::Fields::Unit) {
        quote!(Self)
    } else {
        quote!(Self { #(#reads),* })
    };
    let checked = check(&input.attrs)?
        .map(|check| quote!(let () = (#check)(&read)?;))
        .unwrap_or_default();
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    Ok(quote! {
        impl #impl_generics ::orchestrator_plugin::Config for #name #type_generics #where_clause {
            const SUMMARY: &'static str = #summary;
            fn properties() -> ::std::vec::Vec<::orchestrator_plugin::config::Property> {
                ::std::vec![#(#properties),*]
            }
            fn read(
                settings: &::orchestrator_plugin::config::Settings,
            ) -> ::std::result::Result<Self, ::orchestrator_plugin::Error> {
                let _ = settings;
                let read = #build;
                #checked
                ::std::result::Result::Ok(read)
            }
        }
    })
}

/// What `#[config(check = FUNCTION)]` of a struct gives.
fn check(attributes: &[syn::Attribute]) -> syn::Result<Option<syn::Expr>> {
    let mut found = None;
    for attribute in attributes
        .iter()
        .filter(|one| one.path().is_ident("config"))
    {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("check") {
                return Err(meta.error("known here: check"));
            }
            found = Some(meta.value()?.parse()?);
            Ok(())
        })?;
    }
    Ok(found)
}

fn expand_field(
    field: &syn::Field,
) -> syn::Result<(proc_macro2::TokenStream, proc_macro2::TokenStream)> {
    let ident = field
        .ident
        .as_ref()
        .ok_or_else(|| syn::Error::new(field.span(), "settings need names"))?;
    // A setting may have a keyword's name: `r#where`.
    let key = ident.unraw().to_string();
    let ty = &field.ty;
    let description = documentation(&field.attrs);
    let mut steps = Vec::new();
    for attribute in field
        .attrs
        .iter()
        .filter(|one| one.path().is_ident("config"))
    {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("one_of") {
                let values: syn::ExprArray = meta.value()?.parse()?;
                let values = values.elems;
                steps.push(quote!(.one_of(&[#values])));
                return Ok(());
            }
            if meta.path.is_ident("file") {
                steps.push(quote!(.bound("format", "path".into())));
                return Ok(());
            }
            for key in ["default", "min", "max", "above", "below"] {
                if meta.path.is_ident(key) {
                    let value: syn::Expr = meta.value()?.parse()?;
                    steps.push(match key {
                        "default" => {
                            let text = matches!(
                                &value,
                                syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(_), .. })
                            );
                            if text {
                                quote!(.default::<#ty>(::std::string::String::from(#value)))
                            } else {
                                quote!(.default::<#ty>(#value))
                            }
                        }
                        "min" => quote!(.bound("minimum", ::orchestrator_plugin::config::number(#value))),
                        "max" => quote!(.bound("maximum", ::orchestrator_plugin::config::number(#value))),
                        "above" => {
                            quote!(.bound("exclusiveMinimum", ::orchestrator_plugin::config::number(#value)))
                        }
                        _ => {
                            quote!(.bound("exclusiveMaximum", ::orchestrator_plugin::config::number(#value)))
                        }
                    });
                    return Ok(());
                }
            }
            Err(meta.error("known here: default, min, max, above, below, one_of, file"))
        })?;
    }
    Ok((
        quote! {
            ::orchestrator_plugin::config::Property::of::<#ty>(#key, #description) #(#steps)*
        },
        quote!(#ident: settings.get::<#ty>(#key)?),
    ))
}

/// The doc comments of an item, joined by spaces.
fn documentation(attributes: &[syn::Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes {
        if let syn::Meta::NameValue(pair) = &attribute.meta
            && pair.path.is_ident("doc")
            && let syn::Expr::Lit(literal) = &pair.value
            && let syn::Lit::Str(line) = &literal.lit
        {
            let line = line.value();
            if !text.is_empty() && !line.trim().is_empty() {
                text.push(' ');
            }
            text.push_str(line.trim());
        }
    }
    text
}
