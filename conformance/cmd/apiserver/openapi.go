package main

import (
	corev1 "k8s.io/api/core/v1"
	apiextensionsopenapi "k8s.io/apiextensions-apiserver/pkg/generated/openapi"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// openAPIDefinitions are the generated models of custom resource definitions and
// the two of Secrets. The generated ones of the core group live in a module that
// cannot be imported; the server refuses to start without a model for each type.
func openAPIDefinitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	all := apiextensionsopenapi.GetOpenAPIDefinitions(ref)
	meta := metav1.ObjectMeta{}.OpenAPIModelName()
	listMeta := metav1.ListMeta{}.OpenAPIModelName()
	secret := corev1.Secret{}.OpenAPIModelName()

	all[secret] = model([]string{meta}, withTypeMeta(map[string]spec.Schema{
		"metadata":   reference(ref, meta),
		"immutable":  *spec.BooleanProperty(),
		"data":       *spec.MapProperty(spec.StrFmtProperty("byte")),
		"stringData": *spec.MapProperty(spec.StringProperty()),
		"type":       *spec.StringProperty(),
	}))
	items := reference(ref, secret)
	all[corev1.SecretList{}.OpenAPIModelName()] = model([]string{listMeta, secret}, withTypeMeta(map[string]spec.Schema{
		"metadata": reference(ref, listMeta),
		"items":    *spec.ArrayProperty(&items),
	}))
	return all
}

func withTypeMeta(properties map[string]spec.Schema) map[string]spec.Schema {
	properties["kind"] = *spec.StringProperty()
	properties["apiVersion"] = *spec.StringProperty()
	return properties
}

func reference(ref common.ReferenceCallback, model string) spec.Schema {
	return spec.Schema{
		SchemaProps: spec.SchemaProps{Default: map[string]any{}, Ref: ref(model)},
	}
}

func model(dependencies []string, properties map[string]spec.Schema) common.OpenAPIDefinition {
	return common.OpenAPIDefinition{
		Schema:       spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{"object"}, Properties: properties}},
		Dependencies: dependencies,
	}
}
