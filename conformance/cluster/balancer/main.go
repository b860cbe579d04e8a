// What stands in for a cloud's load balancer: it gives each Service of type LoadBalancer an address of a pool, as
// status.loadBalancer.ingress, and kube-proxy carries the traffic. An address that a Service asks for by
// spec.loadBalancerIP is given if it is of the pool and free; one asked for and not to be had leaves the Service without any.
package main

import (
	"context"
	"flag"
	"log"
	"net/netip"
	"os/signal"
	"slices"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how the API server is reached")
	pool := flag.String("pool", "", "the addresses that are given, as a prefix")
	flag.Parse()
	prefix, err := netip.ParsePrefix(*pool)
	if err != nil {
		log.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	balance(ctx, kubernetes.NewForConfigOrDie(config), prefix)
}

// balance looks at all Services whenever one changes, one look at a time, so that no address is given twice.
func balance(ctx context.Context, client kubernetes.Interface, pool netip.Prefix) {
	factory := informers.NewSharedInformerFactory(client, 10*time.Minute)
	services := factory.Core().V1().Services()
	look := make(chan struct{}, 1)
	poke := func() {
		select {
		case look <- struct{}{}:
		default:
		}
	}
	_, err := services.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { poke() },
		UpdateFunc: func(any, any) { poke() },
		DeleteFunc: func(any) { poke() },
	})
	if err != nil {
		log.Fatal(err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	given := map[string]netip.Addr{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-look:
			if err := once(ctx, client, services.Lister(), pool, given); err != nil {
				log.Print(err)
				time.AfterFunc(time.Second, poke)
			}
		}
	}
}

// once gives and takes addresses. given remembers what was given already, for a lister may lag behind our own writes.
func once(ctx context.Context, client kubernetes.Interface, lister listers.ServiceLister, pool netip.Prefix, given map[string]netip.Addr) error {
	all, err := lister.List(labels.Everything())
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b *corev1.Service) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	wanted := map[string]bool{}
	for _, service := range all {
		if service.Spec.Type == corev1.ServiceTypeLoadBalancer {
			wanted[string(service.UID)] = true
			if has := service.Status.LoadBalancer.Ingress; len(has) > 0 {
				if address, err := netip.ParseAddr(has[0].IP); err == nil {
					given[string(service.UID)] = address
				}
			}
		}
	}
	for uid := range given {
		if !wanted[uid] {
			delete(given, uid)
		}
	}
	for _, service := range all {
		if err := serve(ctx, client, service, pool, given); err != nil {
			return err
		}
	}
	return nil
}

func serve(ctx context.Context, client kubernetes.Interface, service *corev1.Service, pool netip.Prefix, given map[string]netip.Addr) error {
	has := service.Status.LoadBalancer.Ingress
	var ingress []corev1.LoadBalancerIngress
	if service.Spec.Type == corev1.ServiceTypeLoadBalancer {
		address, ok := choose(service, pool, given)
		if ok {
			given[string(service.UID)] = address
			mode := corev1.LoadBalancerIPModeVIP
			ingress = []corev1.LoadBalancerIngress{{IP: address.String(), IPMode: &mode}}
		}
	}
	if len(has) == len(ingress) && (len(has) == 0 || has[0].IP == ingress[0].IP) {
		return nil
	}
	service = service.DeepCopy()
	service.Status.LoadBalancer.Ingress = ingress
	_, err := client.CoreV1().Services(service.Namespace).UpdateStatus(ctx, service, metav1.UpdateOptions{})
	return err
}

// choose says which address a Service gets: the one it asks for, the one it has, or the first that is free.
func choose(service *corev1.Service, pool netip.Prefix, given map[string]netip.Addr) (netip.Addr, bool) {
	mine, have := given[string(service.UID)]
	taken := func(address netip.Addr) bool {
		for uid, other := range given {
			if other == address && uid != string(service.UID) {
				return true
			}
		}
		return false
	}
	if asked := service.Spec.LoadBalancerIP; asked != "" { //nolint:staticcheck // The field is old, and still how an address is asked for.
		address, err := netip.ParseAddr(asked)
		return address, err == nil && pool.Contains(address) && !taken(address)
	}
	if have {
		return mine, true
	}
	for address := pool.Addr().Next(); pool.Contains(address); address = address.Next() {
		if !taken(address) {
			return address, true
		}
	}
	return netip.Addr{}, false
}
