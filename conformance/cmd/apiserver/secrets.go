package main

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/apiserver/pkg/storage/value"
	flowcontrolrequest "k8s.io/apiserver/pkg/util/flowcontrol/request"
)

var (
	// coreScheme knows Secrets only. The external type is its own internal type, so
	// there is nothing to convert.
	coreScheme = runtime.NewScheme()
	coreCodecs = serializer.NewCodecFactory(coreScheme)
)

func init() {
	metav1.AddToGroupVersion(coreScheme, corev1.SchemeGroupVersion)
	internal := schema.GroupVersion{Version: runtime.APIVersionInternal}
	for _, version := range []schema.GroupVersion{corev1.SchemeGroupVersion, internal} {
		coreScheme.AddKnownTypes(version, &corev1.Secret{}, &corev1.SecretList{})
	}
	utilruntime.Must(coreScheme.SetVersionPriority(corev1.SchemeGroupVersion))
}

// secretsAPI is the group /api/v1 with the one resource secrets, stored as protobuf
// under <prefix>/secrets/<namespace>/<name>, as kube-apiserver stores them.
func secretsAPI(
	etcd genericoptions.EtcdOptions,
	prefix string,
	transformers value.ResourceTransformers,
	tracker flowcontrolrequest.StorageObjectCountTracker,
) (*genericapiserver.APIGroupInfo, error) {
	protobuf, ok := runtime.SerializerInfoForMediaType(coreCodecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)
	if !ok {
		return nil, errors.New("the codec factory has no protobuf serializer")
	}
	etcd.StorageConfig.Prefix = prefix
	etcd.StorageConfig.StorageObjectCountTracker = tracker
	etcd.StorageConfig.Codec = coreCodecs.CodecForVersions(
		protobuf.Serializer, coreCodecs.UniversalDeserializer(),
		corev1.SchemeGroupVersion, runtime.InternalGroupVersioner)
	getter := etcd.CreateRESTOptionsGetter(
		&genericoptions.SimpleStorageFactory{StorageConfig: etcd.StorageConfig}, transformers)

	strategy := secretStrategy{coreScheme, names.SimpleNameGenerator}
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &corev1.Secret{} },
		NewListFunc:               func() runtime.Object { return &corev1.SecretList{} },
		PredicateFunc:             matchSecret,
		DefaultQualifiedResource:  corev1.Resource("secrets"),
		SingularQualifiedResource: corev1.Resource("secret"),
		CreateStrategy:            strategy,
		UpdateStrategy:            strategy,
		DeleteStrategy:            strategy,
		TableConvertor:            rest.NewDefaultTableConvertor(corev1.Resource("secrets")),
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: getter, AttrFunc: secretAttributes}); err != nil {
		return nil, err
	}

	info := genericapiserver.NewDefaultAPIGroupInfo("", coreScheme, runtime.NewParameterCodec(coreScheme), coreCodecs)
	info.VersionedResourcesStorageMap["v1"] = map[string]rest.Storage{"secrets": store}
	return &info, nil
}

func matchSecret(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
	return storage.SelectionPredicate{Label: label, Field: field, GetAttrs: secretAttributes}
}

func secretAttributes(object runtime.Object) (labels.Set, fields.Set, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return nil, nil, err
	}
	return accessor.GetLabels(), fields.Set{
		"metadata.name":      accessor.GetName(),
		"metadata.namespace": accessor.GetNamespace(),
	}, nil
}

// secretStrategy accepts every Secret: validation is no part of storage.
type secretStrategy struct {
	runtime.ObjectTyper
	names.NameGenerator
}

func (secretStrategy) NamespaceScoped() bool                                            { return true }
func (secretStrategy) PrepareForCreate(context.Context, runtime.Object)                 {}
func (secretStrategy) Validate(context.Context, runtime.Object) field.ErrorList         { return nil }
func (secretStrategy) WarningsOnCreate(context.Context, runtime.Object) []string        { return nil }
func (secretStrategy) Canonicalize(runtime.Object)                                      {}
func (secretStrategy) AllowCreateOnUpdate(context.Context) bool                         { return false }
func (secretStrategy) PrepareForUpdate(context.Context, runtime.Object, runtime.Object) {}
func (secretStrategy) ValidateUpdate(context.Context, runtime.Object, runtime.Object) field.ErrorList {
	return nil
}
func (secretStrategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}
func (secretStrategy) AllowUnconditionalUpdate(context.Context) bool { return true }
