package harness

import (
	"context"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// SecretKey is where the API server keeps a Secret in etcd.
func SecretKey(namespace, name string) string {
	return "/registry/secrets/" + namespace + "/" + name
}

// NewSecret is a Secret with one value.
func NewSecret(name, value string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Data:       map[string][]byte{"value": []byte(value)},
	}
}

// ListSecrets reads all of them. A server that has just started may say that its
// storage is not ready yet although it says that it is; that is waited for.
func ListSecrets(ctx context.Context, secrets corev1client.SecretInterface) ([]corev1.Secret, error) {
	var items []corev1.Secret
	err := Wait(ctx, "the list of Secrets", startLimit, func(ctx context.Context) error {
		list, err := secrets.List(ctx, metav1.ListOptions{})
		if err == nil {
			items = list.Items
			return nil
		}
		if apierrors.IsTooManyRequests(err) || apierrors.IsServiceUnavailable(err) {
			return err
		}
		return Final(err)
	})
	return items, err
}

// RewriteSecrets sends every Secret back as it is: the way to have stale objects
// stored anew.
func RewriteSecrets(ctx context.Context, secrets corev1client.SecretInterface, workers int) (int, error) {
	items, err := ListSecrets(ctx, secrets)
	if err != nil {
		return 0, err
	}
	return len(items), Each(ctx, workers, len(items), func(ctx context.Context, i int) error {
		_, err := secrets.Update(ctx, &items[i], metav1.UpdateOptions{})
		return err
	})
}

// The custom resource of these tests.
const (
	WidgetResource = "widgets.conformance.example.com"
	widgetGroup    = "conformance.example.com"
)

// WidgetKey is where the API server keeps a Widget in etcd.
func WidgetKey(namespace, name string) string {
	return "/registry/" + widgetGroup + "/widgets/" + namespace + "/" + name
}

// WidgetPath is the URL path of all Widgets of a namespace.
func WidgetPath(namespace string) string {
	return "/apis/" + widgetGroup + "/v1/namespaces/" + namespace + "/widgets"
}

// Widget is a custom object with one value.
type Widget struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   metav1.ObjectMeta `json:"metadata"`
	Value      string            `json:"value"`
}

// NewWidget is complete but for its namespace, which the URL gives.
func NewWidget(name, value string) Widget {
	return Widget{widgetGroup + "/v1", "Widget", metav1.ObjectMeta{Name: name}, value}
}

// DefineWidgets makes the custom resource and waits until it is served.
func (a *APIServer) DefineWidgets(ctx context.Context) error {
	definition := map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": WidgetResource},
		"spec": map[string]any{
			"group": widgetGroup, "scope": "Namespaced",
			"names": map[string]any{"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{
					"type":       "object",
					"properties": map[string]any{"value": map[string]any{"type": "string"}},
				}},
			}},
		},
	}
	const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	if err := a.JSON(ctx, http.MethodPost, path, definition, nil); err != nil {
		return err
	}
	_, err := a.ListWidgets(ctx, "default")
	return err
}

// ListWidgets reads all of a namespace, waiting for a server that has just started.
func (a *APIServer) ListWidgets(ctx context.Context, namespace string) ([]Widget, error) {
	var list struct {
		Items []Widget `json:"items"`
	}
	err := Wait(ctx, "the list of Widgets", 30*time.Second, func(ctx context.Context) error {
		return a.JSON(ctx, http.MethodGet, WidgetPath(namespace), nil, &list)
	})
	return list.Items, err
}

// CreateWidget stores one.
func (a *APIServer) CreateWidget(ctx context.Context, namespace, name, value string) error {
	if err := a.JSON(ctx, http.MethodPost, WidgetPath(namespace), NewWidget(name, value), nil); err != nil {
		return fmt.Errorf("create widget %s: %w", name, err)
	}
	return nil
}
