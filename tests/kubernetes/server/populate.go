package main

import (
	"context"
	"fmt"
	"log"
	"strconv"
	"sync"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	net "k8s.io/api/networking/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// populate creates about as many objects as it is told to, in proportions of a large cluster: of a
// hundred, 60 pods of 6 replica sets of 6 deployments, 10 service accounts, 8 roles with bindings,
// and services, network policies and secrets.
//
// Arguments: the kubeconfig, the number of objects.
func populate(arguments []string) {
	if len(arguments) != 2 {
		log.Fatal("populate KUBECONFIG NUMBER")
	}
	config, err := clientcmd.BuildConfigFromFlags("", arguments[0])
	if err != nil {
		log.Fatal(err)
	}
	config.QPS, config.Burst = 10000, 10000
	config.ContentType = "application/vnd.kubernetes.protobuf"
	client := kubernetes.NewForConfigOrDie(config)
	number, err := strconv.Atoi(arguments[1])
	if err != nil {
		log.Fatal(err)
	}
	groups := make(chan int)
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for group := range groups {
				if err := hundred(client, group); err != nil {
					log.Fatal(err)
				}
			}
		})
	}
	for group := range number / 100 {
		groups <- group
	}
	close(groups)
	workers.Wait()
}

func hundred(client *kubernetes.Clientset, group int) error {
	ctx, options := context.Background(), meta.CreateOptions{}
	ns := fmt.Sprintf("load-%03d", group)
	space := &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: ns, Labels: map[string]string{"team": "load"}}}
	if _, err := client.CoreV1().Namespaces().Create(ctx, space, options); err != nil {
		return err
	}
	named := func(name string, number int) meta.ObjectMeta {
		return meta.ObjectMeta{Name: fmt.Sprintf("%s-%d", name, number), Namespace: ns}
	}
	off := false
	for number := range 10 {
		account := &core.ServiceAccount{ObjectMeta: named("account", number), AutomountServiceAccountToken: &off}
		if number == 0 {
			account.Name = "default"
		}
		if _, err := client.CoreV1().ServiceAccounts(ns).Create(ctx, account, options); err != nil {
			return err
		}
	}
	for number := range 5 {
		role := &rbac.Role{ObjectMeta: named("role", number), Rules: []rbac.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"pods", "services"}, Verbs: []string{"get", "list"}},
			{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"get", "list", "watch"}},
		}}
		if _, err := client.RbacV1().Roles(ns).Create(ctx, role, options); err != nil {
			return err
		}
		binding := &rbac.RoleBinding{ObjectMeta: named("role", number),
			RoleRef:  rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "Role", Name: role.Name},
			Subjects: []rbac.Subject{{Kind: "ServiceAccount", Name: "account-1", Namespace: ns}}}
		if _, err := client.RbacV1().RoleBindings(ns).Create(ctx, binding, options); err != nil {
			return err
		}
	}
	policy := &net.NetworkPolicy{ObjectMeta: named("deny", 0), Spec: net.NetworkPolicySpec{
		PolicyTypes: []net.PolicyType{net.PolicyTypeIngress, net.PolicyTypeEgress}}}
	if _, err := client.NetworkingV1().NetworkPolicies(ns).Create(ctx, policy, options); err != nil {
		return err
	}
	for number := range 3 {
		secret := &core.Secret{ObjectMeta: named("secret", number), Data: map[string][]byte{"key": make([]byte, 2048)}}
		if _, err := client.CoreV1().Secrets(ns).Create(ctx, secret, options); err != nil {
			return err
		}
	}
	for number := range 6 {
		if err := application(ctx, client, ns, number, named); err != nil {
			return err
		}
	}
	return nil
}

func application(ctx context.Context, client *kubernetes.Clientset, ns string, number int, named func(string, int) meta.ObjectMeta) error {
	options := meta.CreateOptions{}
	labels := map[string]string{"app": fmt.Sprintf("app-%d", number)}
	template := core.PodTemplateSpec{ObjectMeta: meta.ObjectMeta{Labels: labels}, Spec: podSpec(number)}
	selector := &meta.LabelSelector{MatchLabels: labels}
	deployment, err := client.AppsV1().Deployments(ns).Create(ctx, &apps.Deployment{ObjectMeta: named("app", number),
		Spec: apps.DeploymentSpec{Selector: selector, Template: template}}, options)
	if err != nil {
		return err
	}
	owned := func(name string, kind string, by string, uid types.UID) meta.ObjectMeta {
		yes := true
		return meta.ObjectMeta{Name: name, Namespace: ns, Labels: labels, OwnerReferences: []meta.OwnerReference{
			{APIVersion: "apps/v1", Kind: kind, Name: by, UID: uid, Controller: &yes}}}
	}
	set := &apps.ReplicaSet{ObjectMeta: owned(deployment.Name+"-1", "Deployment", deployment.Name, deployment.UID),
		Spec: apps.ReplicaSetSpec{Selector: selector, Template: template}}
	if set, err = client.AppsV1().ReplicaSets(ns).Create(ctx, set, options); err != nil {
		return err
	}
	for replica := range 10 {
		pod := &core.Pod{ObjectMeta: owned(fmt.Sprintf("%s-%d", set.Name, replica), "ReplicaSet", set.Name, set.UID), Spec: podSpec(number)}
		if _, err := client.CoreV1().Pods(ns).Create(ctx, pod, options); err != nil {
			return err
		}
	}
	service := &core.Service{ObjectMeta: named("app", number), Spec: core.ServiceSpec{Selector: labels, ClusterIP: "None", Ports: []core.ServicePort{{Port: 80}}}}
	_, err = client.CoreV1().Services(ns).Create(ctx, service, options)
	return err
}

// podSpec is of the size that pods have in practice: two containers, some environment, some volumes.
func podSpec(number int) core.PodSpec {
	no, yes := false, true
	var environment []core.EnvVar
	for variable := range 12 {
		environment = append(environment, core.EnvVar{Name: fmt.Sprintf("SETTING_%d", variable), Value: fmt.Sprintf("a value of some length, %d", variable)})
	}
	container := func(name string) core.Container {
		return core.Container{Name: name, Image: "example.com/" + name + ":1.2.3", Env: environment,
			Ports:        []core.ContainerPort{{ContainerPort: 8080}},
			VolumeMounts: []core.VolumeMount{{Name: "tmp", MountPath: "/tmp"}, {Name: "settings", MountPath: "/etc/app"}},
			SecurityContext: &core.SecurityContext{AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
				Capabilities: &core.Capabilities{Drop: []core.Capability{"ALL"}}}}
	}
	return core.PodSpec{
		ServiceAccountName: fmt.Sprintf("account-%d", 1+number%9),
		HostPID:            number == 5,
		Containers:         []core.Container{container("app"), container("log")},
		Volumes: []core.Volume{{Name: "tmp", VolumeSource: core.VolumeSource{EmptyDir: &core.EmptyDirVolumeSource{}}},
			{Name: "settings", VolumeSource: core.VolumeSource{ConfigMap: &core.ConfigMapVolumeSource{LocalObjectReference: core.LocalObjectReference{Name: "settings"}}}}},
	}
}
